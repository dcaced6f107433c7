"""Products and convolutions as generated code against the interpreter's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.engine.backends.cpu import contractions
from rushlight.engine.backends.cpu.contractions import contraction_for
from rushlight.engine.backends.cpu.llvm import kernel
from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.backends.cpu.onednn_prepared import address
from rushlight.engine.core.dtype import float32, float64
from rushlight.engine.ir.graph import make_meta
from rushlight.engine.ir.loops import Contract, For
from rushlight.engine.ir.op import Op, Spec
from rushlight.engine.ir.plan import KernelCall, Place, Plan


def spec_of(name: str, shapes: list[tuple[int, ...] | None], *attrs: Any) -> Spec:
    """An operator on float32 arrays of these shapes."""
    op = Op.registry[name]
    inputs = tuple([None if s is None else make_meta(s, float32) for s in shapes])
    out = op.infer(*inputs, *attrs)
    return Spec(op, inputs, attrs, out)


def run(spec: Spec, arrays: list[np.ndarray | None], count: int = 1) -> np.ndarray:
    """The result of the generated code; it is written in the middle of a larger array."""
    made = contraction_for(spec)
    assert made is not None
    size = spec.out.numel
    memory = np.full(size + 64, 7.0, np.float32)
    given = [arrays[number] for number in made.inputs]
    plan = Plan(slots=len(given) + 2)
    places = [Place(k + 1) for k in range(len(given) + 1)]
    code = NativeCode(plan, [KernelCall(made.kernel, places, [], count)])
    code.compile()
    code.load({0: 0})
    table = np.zeros(plan.slots, np.uint64)
    for k, array in enumerate(given):
        assert array is not None
        table[k + 1] = address(array)
    table[-1] = address(memory) + 32 * 4
    assert code.run(address(table), 0) == 0
    assert (memory[:32] == 7).all()
    assert (memory[32 + size :] == 7).all()
    return memory[32 : 32 + size].reshape(spec.out.shape)


def check(spec: Spec, count: int = 1) -> None:
    """Generated code agrees with the interpreter's kernel in double precision."""
    random = np.random.default_rng(0)
    arrays = [
        None if m is None else random.standard_normal(m.shape).astype(np.float32)
        for m in spec.inputs
    ]
    exact_spec = Spec(
        spec.op, tuple([None if m is None else make_meta(m.shape, float64) for m in spec.inputs]),
        spec.attrs, make_meta(spec.out.shape, float64),
    )  # fmt: skip
    exact = exact_spec.kernel(*[None if a is None else a.astype(np.float64) for a in arrays])
    atol = 4e-6 * float(np.abs(exact).max())
    np.testing.assert_allclose(run(spec, arrays, count), exact, rtol=1e-5, atol=atol)


SIZES = [
    (1, 1, 1), (1, 10, 7), (4, 84, 120), (4, 120, 400), (3, 17, 33), (5, 16, 16), (32, 10, 128),
    (7, 15, 31), (32, 64, 64), (9, 50, 300), (40, 31, 257),
]  # fmt: skip


@pytest.fixture(params=[4, 8, 16])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Vectors of this many elements, whatever the processor has."""
    elements: int = request.param
    for module in (contractions, kernel):
        monkeypatch.setattr(module, "vector_width", lambda: elements)
    return elements


@pytest.mark.usefixtures("width")
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_products(m: int, n: int, k: int) -> None:
    check(spec_of("linear_", [(n,), (m, k), (n, k)]))
    check(spec_of("matmul_nt", [(m, k), (n, k)]))
    check(spec_of("matmul_nn", [(m, k), (k, n)]))
    check(spec_of("matmul_tn", [(k, m), (k, n)]))


def test_leading_axes_are_rows() -> None:
    check(spec_of("linear_rows", [(6,), (2, 3, 5), (6, 5)]))
    check(spec_of("matmul_nn", [(2, 3, 5), (5, 6)]))
    check(spec_of("matmul_tn", [(2, 3, 5), (2, 3, 6)]))


@pytest.mark.parametrize("count", [1, 2])
def test_a_product_on_several_threads(count: int) -> None:
    check(spec_of("linear_", [(50,), (33, 300), (50, 300)]), count)
    check(spec_of("matmul_nn", [(33, 50), (50, 300)]), count)


PLAIN = ((1, 1), (0, 0), (1, 1))
IMAGES = [
    (4, 3, 6, 32, 5), (2, 6, 3, 14, 5), (1, 1, 2, 7, 3), (3, 2, 5, 20, 4), (2, 3, 4, 40, 3),
    (1, 2, 3, 18, 1),
]  # fmt: skip


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions are contractions even where that does not pay."""
    monkeypatch.setattr(contractions, "_lanes_pay", lambda lanes, channels, least: True)


@pytest.mark.parametrize(("count", "taken", "channels", "size", "window"), IMAGES)
@pytest.mark.usefixtures("always", "width")
def test_convolutions(count: int, taken: int, channels: int, size: int, window: int) -> None:
    x, w = (count, taken, size, size), (channels, taken, window, window)
    y = (count, channels, size - window + 1, size - window + 1)
    forward = (*PLAIN, False, (0, 0), 1)
    check(spec_of("convolution", [x, w, (channels,)], *forward))
    check(spec_of("convolution", [x, w, None], *forward))
    check(spec_of("convolution_weight_grad", [x, y], w, *PLAIN, 1))
    gradient = spec_of("convolution_input_grad", [y, w], x, *PLAIN, 1)
    if contraction_for(gradient) is not None:
        check(gradient)


@pytest.mark.usefixtures("always")
def test_what_is_left_to_the_library() -> None:
    x, w = (2, 4, 9, 9), (4, 4, 3, 3)
    for geometry in (
        ((2, 2), (0, 0), (1, 1), False, (0, 0), 1), ((1, 1), (1, 1), (1, 1), False, (0, 0), 1),
        ((1, 1), (0, 0), (2, 2), False, (0, 0), 1), ((1, 1), (0, 0), (1, 1), True, (0, 0), 1),
    ):  # fmt: skip
        assert contraction_for(spec_of("convolution", [x, w, None], *geometry)) is None
    assert contraction_for(spec_of("matmul_nn", [(512, 512), (512, 512)])) is None
    wide = Op.registry["matmul_nn"]
    metas = make_meta((2, 3), float64), make_meta((3, 2), float64)
    assert contraction_for(Spec(wide, metas, (), make_meta((2, 2), float64))) is None


def test_tiles_cover_and_overlap() -> None:
    """A size that is no multiple of the tile is walked with an overlap at its end."""
    made = contraction_for(spec_of("matmul_nn", [(4, 120), (120, 400)]))
    assert made is not None
    body: Any = made.kernel.body
    while isinstance(body[0], For):
        body = body[0].body
    assert isinstance(body[0], Contract)
    assert "(tile [" in str(made.kernel)
