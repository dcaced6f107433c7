"""Programs that once failed, as small as the fuzzer made them, in every mode and on PyTorch."""

from __future__ import annotations

import pytest

from tests.fuzz import modes
from tests.fuzz.compare import available, check
from tests.fuzz.programs import Script

#: The lines of a step, by what was wrong. ``x`` (3, 4), ``v`` (4), ``e`` (0, 3) and ``h`` (2, 0, 3)
#: are float32, ``n`` int64 (3, 4), ``b`` uint8 (3, 4), ``w`` and ``u`` want gradients.
MENDED = {
    "a negative number in a view of unsigned integers": "b[0:1] = -2\nlook(b)",
    "a kernel over no elements": "look(F.sigmoid(e), torch.absolute(e), e + 1, h * h)",
    "a sum over an empty axis": "look(h.sum(1), torch.cosine_similarity(h, x[:2, None, :3]))",
    "a loss without a weight": "look(F.binary_cross_entropy(x.sigmoid(), x.sigmoid()))\n"
    "look(F.binary_cross_entropy(x.sigmoid(), x.sigmoid(), reduction='none'))",
    "an empty axis rolled": "look(h.roll(1, 1), torch.roll(e, 1))",
    "a product of narrow integers": "look(torch.addcmul(n, b[0], b[0], value=2))",
    "complex numbers": "look(torch.polar(v, v).real, torch.polar(v, v).unbind(-1)[0].imag)",
    "a quantile along an axis": "look(torch.quantile(x, torch.tensor([0.1, 0.5, 0.9]), 1))",
    "a write into memory that was handed out": "t = torch.minimum(x, v)\nlook(t.numpy().sum())\n"
    "t.logical_not_()\nlook(t)",
    "a value rounded to half the bits": "look(v.to(torch.bfloat16) == v)",
    "a parameter without elements": "(w.sum() + u.sum()).backward()\noptimizer.step()\n"
    "optimizer.zero_grad()\nlook(u, w)",
    "vectors of one number": "look(F.cosine_similarity(x, v[:1]), F.cosine_similarity(x, v))",
    "a curve over rows": "look(torch.trapz(v[:3], x[:, :2]))",
    "random numbers in turned memory": "look(torch.randn_like(x.t()), x.clone().t().uniform_())",
    "running statistics that are weights": "s, r = v.clone(), v.abs() + 1\n"
    "look(F.batch_norm(x, s, r, s, s[:], True), F.batch_norm(x, v * 1, r, r, w, True), s, r)\n"
    "F.batch_norm(w * x, s, r, s, r, True).square().sum().backward()\nlook(s, r, w.grad)\n"
    "w.grad = None",
    "a parameter looked at between updates": "(w * u.sum()).sum().backward()\noptimizer.step()\n"
    "look(w.detach())\noptimizer.zero_grad()",
    "a state carried on by numbers": "s = v * 1 if step == 0 else s\ns.lerp_(w, 0.3)\n"
    "s.lerp_(w, 0.6)\n((s**2).sum() * 0.1).backward()\nlook(s, w.grad)\nw.grad = None",
}

SETTING = """
def program(torch, look):
    F = torch.nn.functional
    x, v = leaf(torch, 1, (3, 4), "float32", -2, 2), leaf(torch, 2, (4,), "float32", -2, 2)
    e, h = leaf(torch, 3, (0, 3), "float32", -2, 2), leaf(torch, 5, (2, 0, 3), "float32", -2, 2)
    n, b = leaf(torch, 6, (3, 4), "int64", -5, 5), leaf(torch, 7, (3, 4), "uint8", 100, 255)
    w = leaf(torch, 9, (4,), "float32", -2, 2).requires_grad_()
    u = leaf(torch, 10, (0, 3), "float32", -2, 2).requires_grad_()
    optimizer = torch.optim.{optimizer}([w, u], lr=0.1)
    for step in range(5):
        {lines}
"""


#: Every case, those about optimizers with two of them.
CASES = [(name, "SGD") for name in MENDED]
CASES += [(name, "RMSprop") for name, lines in MENDED.items() if "optimizer" in lines]


@pytest.mark.parametrize(("name", "optimizer"), CASES)
def test_mended(name: str, optimizer: str) -> None:
    lines = MENDED[name]
    source = SETTING.format(lines=lines.replace("\n", "\n        "), optimizer=optimizer)
    wanted = available(["recorded", "compiled", "oracle"])
    failure, compared = check(Script(source), wanted)
    assert failure is None, failure
    assert compared == {"eager", *wanted}


def test_all_modes_are_there() -> None:
    assert {"eager", "recorded"} <= set(available([*modes.MODES]))
