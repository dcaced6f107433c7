"""What must be true of the records as a whole: nothing is untested, undocumented or there twice."""

from __future__ import annotations

import doctest
from collections import Counter
from typing import Any

import pytest

import rushlight
from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.op import OTHER, Composite, Op
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace.gradient_node import GradNode
from tests.ops.harness import Face, attempt, faces, make_call, own, quiet, run_own, tensors_in

FACES = faces()

#: Operators with floating-point results and no gradient, and why.
WITHOUT_GRADIENT = {
    "the gradient of a gradient that PyTorch does not differentiate either": {
        "ctc_loss_backward", "grid_sampler_2d_backward", "grid_sampler_3d_backward",
    },
    "written with recorded operations where it will be differentiated": {
        "attention_backward", "lstm_sequence_backward", "gru_sequence_backward",
        "elman_sequence_backward",
    },
    "only the compiler applies it": {
        "class_losses", "class_shares", "pool_chosen", "dropout_from_draws",
    },
    "made of nothing": {"zeros_", "ones_", "permutation", "dropout_noise", "random_fill"},
    "the same bits, another type": {"view_dtype"},
    "the rule of an optimizer": {"foreach"},
    "how often a value occurs": {"histc_", "histogram_"},
    "shares of a gradient, which are constants": {"tie_share"},
    "PyTorch has no derivative of it": {
        "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_i0",
        "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
        "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0",
        "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v",
        "chebyshev_polynomial_w", "shifted_chebyshev_polynomial_t",
        "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
        "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he",
        "laguerre_polynomial_l", "legendre_polynomial_p",
    },
}  # fmt: skip

#: Operators whose gradients no sample can ask for, and why.
ELSEWHERE = {
    "alias": "only what is written to through a view of everything asks for it",
    "cholesky_inverse_last": "its input is a triangle, which a sample cannot vary",
    "filled": "only filling with a 0-d tensor that requires a gradient, in place, asks for it",
    "floor_divide": "it is refused, as in PyTorch",
    "heaviside": "it is refused, as in PyTorch",
    "index_several_embed": "reached by indexing with several tensors, which is no record",
}

#: Setters of properties, which give nothing back.
SETTERS = {"Tensor._set_real", "Tensor._set_imag"}


def _derive(face: Face, sample: Any) -> None:
    """First and second gradients of a sample, recorded and never computed."""
    result, inputs = run_own(face, make_call(face, sample, "float64"), True)
    outputs = [t for t in tensors_in(result) if t.requires_grad]
    wanted = [t for t in inputs if t.requires_grad]
    if not outputs or not wanted:
        return
    ones = [rushlight.ones_like(t).requires_grad_() for t in outputs]
    grad = rushlight.autograd.grad
    first = grad(outputs, wanted, ones, create_graph=True, allow_unused=True)
    live = [g for g in first if g is not None and g.requires_grad]
    if live:
        ones_again = [rushlight.ones_like(g) for g in live]
        grad(live, [*wanted, *ones], ones_again, allow_unused=True)


@pytest.fixture(scope="module")
def derived() -> set[str]:
    """The names of the operators whose gradients the samples ask for."""
    seen: set[str] = set()
    plain = GradNode.gradients

    def noting(node: GradNode, *arguments: Any) -> list[Any]:
        seen.add(node.spec.op.name)
        return plain(node, *arguments)

    GradNode.gradients = noting  # type: ignore[method-assign]
    try:
        with quiet():
            for face in FACES:
                for sample in face.samples:
                    attempt(lambda f=face, s=sample: _derive(f, s))
                attempt(flush)
    finally:
        GradNode.gradients = plain  # type: ignore[method-assign]
    return seen


def test_every_public_operator_has_samples() -> None:
    bare = [f for f in FACES if not f.samples and not f.record.errors]
    assert [f.name for f in bare if f.name not in SETTERS] == []


def test_every_public_operator_is_documented() -> None:
    assert [f.name for f in FACES if not f.record.doc.strip()] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [f.name for f in FACES if ">>>" in f.record.doc])  # type: ignore[attr-defined]
def test_examples_run(name: str) -> None:
    record: Any = next(face.record for face in FACES if face.name == name)
    example = doctest.DocTestParser().get_doctest(record.doc, {}, name, None, None)
    said: list[str] = []
    with quiet():
        found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert found.failed == 0, "".join(said)


def test_every_gradient_is_asked_for(derived: set[str]) -> None:
    unasked = {op.name for op in Op.registry.values() if op.grad} - derived
    assert sorted(unasked - ELSEWHERE.keys()) == []
    assert sorted(ELSEWHERE.keys() - unasked) == []


def test_every_floating_result_has_a_gradient(derived: set[str]) -> None:
    marked = {name for names in WITHOUT_GRADIENT.values() for name in names}
    without = {
        op.name
        for op in Op.registry.values()
        if op.grad is None
        and any(spec.out.dtype.category >= FLOATING for spec in op.specs.values() if spec.outs)
    }
    assert sorted(without - marked) == []
    have = {name for name in marked if name in Op.registry and Op.registry[name].grad is None}
    assert sorted(marked - have) == []


def test_no_name_stands_twice() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for record in [*Op.registry.values(), *Composite.registry.values()]:
        for namespace in record.namespaces:
            counts[namespace, record.public_name] += 1
        if record.method:
            counts["Tensor", record.method_name] += 1
    assert [name for name, count in counts.items() if count > 1] == []


def test_a_second_record_is_refused() -> None:
    with pytest.raises(ValueError, match="recorded twice"):
        Op("mul(Tensor input)", kind=OTHER, infer=lambda x: x, kernel=lambda spec: None)
    with pytest.raises(ValueError, match="recorded twice"):
        Composite("conv2d", lambda x: x, namespaces=("nn.functional",))


def test_names_and_references_go_together() -> None:
    """Every public name is one of PyTorch's, so that nothing is compared with nothing."""
    pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")
    missing = [f.name for f in FACES if f.reference is None and f.name not in SETTERS]
    assert [name for name in missing if name not in OWN] == []


#: Names that PyTorch has under another one.
OWN = {"absolute_"}


def test_own_tensors_share_no_memory_with_samples() -> None:
    """The harness gives every call its own arrays."""
    face = next(face for face in FACES if face.name == "mul")
    one, two = (make_call(face, face.samples[0]) for _ in range(2))
    assert own(one.leaves[0])._array() is not own(two.leaves[0])._array()
