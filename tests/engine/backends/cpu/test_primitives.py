"""Primitives as a compiled program's main calls them: addresses only, no arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import address
from rushlight.engine.backends.cpu.primitives import Primitive, primitive_for
from rushlight.engine.core.dtype import bfloat16, float32, float64
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta
from rushlight.engine.ir.op import Op, Spec

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")


def plain(*shape: int) -> Meta:
    """The meta of a contiguous array."""
    return make_meta(shape, float32)


def spec_of(name: str, *metas: Meta | None, **attrs: Any) -> Spec:
    """The spec of an operator."""
    op = Op.registry[name]
    return op.specialize(metas, op.pack(attrs) if op.attr_names else ())


def filled(meta: Meta, source: np.random.Generator) -> np.ndarray:
    """Random numbers laid out as ``meta`` says."""
    made = empty_strided(meta)
    if 0 in meta.strides:
        one = made[tuple(slice(0, 1) if s == 0 else slice(None) for s in meta.strides)]
        one[...] = source.standard_normal(one.shape)
    else:
        made[...] = source.standard_normal(meta.shape)
    return made


def execute(primitive: Primitive, arrays: list[np.ndarray]) -> None:
    """Run a primitive as native code does."""
    run_prepared(primitive.prepared, arrays)


def run_prepared(prepared: Any, arrays: list[np.ndarray]) -> None:
    """Tell every memory where it lies, then run the executions."""
    library = onednn.library()
    place = library.function("memory_set_data_handle")
    scratch = np.full(prepared.scratch + 64, 255, np.uint8)
    base = -(-address(scratch) // 64) * 64
    for handle, array in zip(prepared.handles, arrays, strict=True):
        place(handle, address(array))
    for memory, offset in prepared.internal:
        place(memory.address, base + offset)
    run = library.function("primitive_execute")
    before = library.max_threads()
    library.set_threads(prepared.threads)
    try:
        for what, count, arguments in prepared.executions:
            assert run(what, library.stream, count, ctypes.c_void_p(arguments)) == 0
    finally:
        library.set_threads(before)


def compute(spec: Spec, epilogue: Any = (), seed: int = 0) -> tuple[list[Any], list[np.ndarray]]:
    """Random inputs, and what the primitive makes of them."""
    primitive = primitive_for(spec, epilogue)
    assert primitive is not None, f"{spec!r} with {epilogue}"
    source = np.random.default_rng(seed)
    inputs: list[Any] = [None if m is None else filled(m, source) for m in spec.inputs]
    extra = [step[1] for step in epilogue if len(step) > 1 and isinstance(step[1], Meta)]
    inputs += [filled(meta, source) for meta in extra]
    outputs = [filled(meta, source) for _, meta in primitive.outputs]
    befores = [array.copy() for array in outputs]
    given = [array if array is None else array.copy() for array in inputs]
    for (number, meta), array in zip(
        primitive.inputs, [inputs[n] for n, _ in primitive.inputs], strict=True
    ):
        assert number < len(spec.inputs) + len(extra)
        assert array.shape == tuple(meta.shape)
    execute(primitive, [*[inputs[n] for n, _ in primitive.inputs], *outputs])
    for have, want in zip(inputs, given, strict=True):
        assert have is None or np.array_equal(have, want)
    return [*inputs, *befores], outputs


def half(*shape: int) -> Meta:
    """The meta of a contiguous array of bfloat16."""
    return make_meta(shape, bfloat16)


HALF_PRODUCTS = {
    "linear": spec_of("linear_", half(64), half(32, 64), half(64, 64)),
    "rows": spec_of("linear_rows", half(64), half(2, 32, 64), half(64, 64)),
    "one bias": spec_of("linear_", half(), half(32, 64), half(64, 64)),
    "turned": spec_of("matmul_nt", half(32, 64), half(64, 64)),
    "tn": spec_of("matmul_tn", half(2, 32, 64), half(2, 32, 64)),
    "strided": spec_of("mm", strided_meta((64, 64), (200, 2), bfloat16), half(64, 64)),
    "batches": spec_of("batched", half(3, 64, 32), half(3, 64, 32), transpose1=False,
                       transpose2=True),
}  # fmt: skip


@pytest.mark.parametrize("name", HALF_PRODUCTS)
def test_products_of_bfloat16(name: str) -> None:
    spec = HALF_PRODUCTS[name]
    if primitive_for(spec) is None:
        pytest.skip("oneDNN has no fast code for bfloat16 on this processor")
    given, made = compute(spec)
    expected = spec.op.kernel(spec, *spec.attrs)(*given[: len(spec.inputs)])
    difference = np.abs(made[0].astype(np.float32) - expected.astype(np.float32))
    # sums are taken in another order, then rounded: now and then to the neighbouring number
    assert (difference <= 2.0**-7 * np.abs(expected.astype(np.float32)) + 1e-4).all()
    assert (difference > 0).mean() < 0.02


def test_what_is_left_to_float32() -> None:
    assert primitive_for(spec_of("mm", half(4, 5), half(5, 6))) is None
    after = spec_of("mm", half(64, 64), half(64, 64))
    assert primitive_for(after, (("relu",),)) is None
    double = make_meta((64, 64), float64)
    assert primitive_for(spec_of("mm", double, double)) is None


def check(spec: Spec, tolerance: float = 1e-5) -> None:
    """The primitive against the record's own NumPy kernel."""
    given, made = compute(spec)
    expected = spec.op.kernel(spec, *spec.attrs)(*given[: len(spec.inputs)])
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(made[0], expected, rtol=tolerance, atol=tolerance * scale)


STRIDED = strided_meta((6, 8), (20, 2), float32)
PERMUTED = strided_meta((3, 4, 8), (8, 24, 1), float32)
FOLDED = strided_meta((3, 4, 8), (1, 3, 12), float32)
REPEATED = strided_meta((6, 8), (0, 1), float32)
ONE_NUMBER = strided_meta((6, 8), (0, 0), float32)
TURNED = strided_meta((6, 8), (1, 6), float32)

PRODUCTS = {
    "linear": spec_of("linear_", plain(5), plain(4, 7), plain(5, 7)),
    "linear, rows": spec_of("linear_rows", plain(5), plain(2, 3, 7), plain(5, 7)),
    "linear, one vector": spec_of("linear_rows", plain(5), plain(7), plain(5, 7)),
    "linear, one column": spec_of("linear_", plain(1), plain(9, 7), plain(1, 7)),
    "linear, column of rows": spec_of("linear_rows", plain(1), plain(3, 9, 7), plain(1, 7)),
    "linear, permuted": spec_of("linear_rows", plain(5), PERMUTED, plain(5, 8)),
    "linear, folded": spec_of("linear_rows", plain(5), FOLDED, plain(5, 8)),
    "linear, strided bias": spec_of(
        "linear_", strided_meta((5,), (3,), float32), plain(4, 7), plain(5, 7)
    ),
    "linear, matrix of biases": spec_of("linear_", plain(4, 5), plain(4, 7), plain(5, 7)),
    "linear, one bias": spec_of("linear_", plain(), plain(4, 7), plain(5, 7)),
    "nn": spec_of("matmul_nn", plain(4, 7), plain(7, 5)),
    "nn, rows": spec_of("matmul_nn", plain(2, 4, 7), plain(7, 5)),
    "nn, vector": spec_of("matmul_nn", plain(7), plain(7, 5)),
    "nn, few rows": spec_of("matmul_nn", plain(8, 512), plain(512, 512)),
    "nn, strided": spec_of("matmul_nn", STRIDED, plain(8, 5)),
    "nn, turned": spec_of("matmul_nn", TURNED, plain(8, 5)),
    "nt": spec_of("matmul_nt", plain(4, 7), plain(5, 7)),
    "nt, few rows": spec_of("matmul_nt", plain(4, 256), plain(120, 256)),
    "nt, rows": spec_of("matmul_nt_rows", plain(2, 3, 4, 7), plain(5, 7)),
    "nt, permuted": spec_of("matmul_nt_rows", PERMUTED, plain(5, 8)),
    "tn": spec_of("matmul_tn", plain(6, 7), plain(6, 5)),
    "tn, rows": spec_of("matmul_tn", plain(2, 3, 7), plain(2, 3, 5)),
    "tn, permuted": spec_of("matmul_tn", PERMUTED, plain(3, 4, 5)),
    "tn, vectors": spec_of("matmul_tn", plain(7), plain(5)),
    "tn, repeated": spec_of("matmul_tn", REPEATED, plain(6, 5)),
    "tn, one number": spec_of("matmul_tn", ONE_NUMBER, plain(6, 5)),
    "mm": spec_of("mm", plain(20, 30), plain(30, 40)),
    "mm, one": spec_of("mm", plain(1, 30), plain(30, 1)),
    "mm, outer": spec_of("mm", plain(30, 1), plain(1, 20)),
    "mm, column": spec_of("mm", plain(64, 30), plain(30, 1)),
    "mm, threads": spec_of("mm", plain(256, 256), plain(256, 512)),
    "bmm": spec_of("bmm", plain(3, 4, 5), plain(3, 5, 6)),
    "bmm, columns": spec_of("bmm", plain(3, 4, 5), plain(3, 5, 1)),
    "bmm, repeated": spec_of("bmm", plain(3, 4, 5), strided_meta((3, 5, 6), (0, 6, 1), float32)),
    "batched": spec_of(
        "batched", plain(2, 3, 4, 5), plain(2, 3, 6, 5), transpose1=False, transpose2=True
    ),
    "batched, both": spec_of(
        "batched", plain(3, 5, 4), plain(3, 6, 5), transpose1=True, transpose2=True
    ),
    "batched, broadcast": spec_of(
        "batched", plain(2, 1, 4, 5), plain(3, 5, 6), transpose1=False, transpose2=False
    ),
    "batched, heads": spec_of(
        "batched",
        strided_meta((2, 3, 4, 5), (60, 5, 15, 1), float32),
        strided_meta((2, 3, 4, 5), (60, 5, 15, 1), float32),
        transpose1=False,
        transpose2=True,
    ),
    "mv": spec_of("mv", plain(9, 7), plain(7)),
    "mv, turned": spec_of("mv", TURNED, plain(8)),
    "dot": spec_of("dot", plain(70), plain(70)),
    "dot, strided": spec_of("dot", strided_meta((7,), (3,), float32), plain(7)),
    "dot, one": spec_of("dot", plain(1), plain(1)),
    "mv, strided": spec_of("mv", STRIDED, strided_meta((8,), (3,), float32)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    check(PRODUCTS[name])


def convolution(x: Meta, w: Meta, bias: bool = True, **given: Any) -> Spec:
    """A convolution's spec."""
    nd = x.ndim - 2
    zero, one = (0,) * nd, (1,) * nd
    attrs = {"stride": one, "padding": zero, "dilation": one, "transposed": False,
             "output_padding": zero, "groups": 1, **given}  # fmt: skip
    out = w.shape[1] * attrs["groups"] if attrs["transposed"] else w.shape[0]
    return spec_of("convolution", x, w, plain(out) if bias else None, **attrs)


def channels_last(*shape: int) -> Meta:
    """The meta of an image array whose channels lie innermost."""
    _, c, h, w = shape
    return strided_meta(shape, (c * h * w, 1, w * c, c), float32)


CONVOLUTIONS = {
    "5x5": convolution(plain(4, 6, 14, 14), plain(16, 6, 5, 5)),
    "no bias": convolution(plain(2, 3, 8, 8), plain(16, 3, 3, 3), False, padding=(1, 1)),
    "stride, dilation": convolution(
        plain(2, 16, 11, 12), plain(8, 16, 3, 2), stride=(2, 1), dilation=(1, 2), padding=(2, 0)
    ),
    "1x1": convolution(plain(2, 64, 7, 7), plain(32, 64, 1, 1)),
    "1x1, wide": convolution(plain(2, 64, 16, 16), plain(32, 64, 1, 1)),
    "groups": convolution(plain(2, 8, 9, 9), plain(12, 2, 3, 3), groups=4),
    "every channel alone": convolution(plain(2, 16, 9, 9), plain(16, 1, 3, 3), groups=16),
    "one dimension": convolution(plain(2, 5, 20), plain(6, 5, 3), padding=(1,)),
    "three dimensions": convolution(plain(1, 4, 5, 6, 7), plain(6, 4, 2, 3, 3)),
    "channels last": convolution(channels_last(2, 8, 9, 9), channels_last(12, 8, 3, 3)),
    "repeated": convolution(
        strided_meta((3, 4, 6, 6), (0, 36, 6, 1), float32), plain(6, 4, 3, 3)
    ),
    "one pixel": convolution(plain(3, 5, 1, 1), plain(6, 5, 1, 1)),
    "few pixels": convolution(plain(4, 96, 2, 2), plain(128, 96, 3, 3), padding=(1, 1)),
    "one pixel of four": convolution(
        plain(4, 96, 2, 2), plain(128, 96, 3, 3), padding=(1, 1), stride=(2, 2)
    ),
    "one pixel under a window": convolution(
        plain(4, 128, 1, 1), plain(96, 128, 3, 3), padding=(1, 1)
    ),
    "one pixel, no padding": convolution(plain(4, 64, 5, 5), plain(64, 64, 5, 5)),
    "few pixels, dilation": convolution(
        plain(3, 96, 5, 5), plain(128, 96, 3, 3), padding=(1, 1), dilation=(2, 2)
    ),
    "few pixels, stride": convolution(
        plain(3, 96, 6, 5), plain(128, 96, 3, 3), padding=(2, 1), stride=(3, 2), bias=False
    ),
    "few pixels, channels last": convolution(
        channels_last(4, 96, 2, 2), plain(128, 96, 3, 3), padding=(1, 1)
    ),
    "transposed": convolution(
        plain(2, 8, 5, 5), plain(8, 6, 3, 3), transposed=True, stride=(2, 2), padding=(1, 1),
        output_padding=(1, 1),
    ),
    "transposed, groups": convolution(
        plain(2, 8, 5, 5), plain(8, 3, 3, 3), transposed=True, groups=2
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    check(CONVOLUTIONS[name])


@pytest.mark.parametrize("name", [n for n in CONVOLUTIONS if "pixel" in n])
def test_few_pixels_meet_the_weights_where_they_lie(name: str) -> None:
    primitive = primitive_for(CONVOLUTIONS[name])
    assert primitive is not None
    as_product = "gemm:jit:f32" in primitive.implementation or "brg:" in primitive.implementation
    assert as_product is (name != "one pixel")


@pytest.mark.parametrize("name", [n for n in CONVOLUTIONS if "transposed" not in n])
def test_gradients_of_convolutions(name: str) -> None:
    forward = CONVOLUTIONS[name]
    x, w, _ = forward.inputs
    assert x is not None
    assert w is not None
    attrs = {k: forward.attr(k) for k in ("stride", "padding", "dilation", "groups")}
    grad = make_meta(tuple(forward.out.shape), float32)
    check(spec_of("convolution_input_grad", grad, w, shape=tuple(x.shape), **attrs))
    check(spec_of("convolution_weight_grad", x, grad, shape=tuple(w.shape), **attrs))


def test_what_it_does_not_compute() -> None:
    double = make_meta((4, 5), float64)
    assert primitive_for(spec_of("mm", double, make_meta((5, 6), float64))) is None
    assert primitive_for(spec_of("mm", plain(0, 5), plain(5, 6))) is None
    assert primitive_for(spec_of("abs", plain(4))) is None
    assert primitive_for(spec_of("dot", plain(100_000), plain(100_000))) is None


def test_every_primitive_has_memories_of_its_own() -> None:
    first, second = (primitive_for(PRODUCTS["mm"]) for _ in range(2))
    assert first is not None
    assert second is not None
    assert not set(first.prepared.handles) & set(second.prepared.handles)


def test_threads_are_chosen_by_cost() -> None:
    small, large = primitive_for(PRODUCTS["nn"]), primitive_for(PRODUCTS["mm, threads"])
    assert small is not None
    assert large is not None
    assert small.prepared.threads == 1
    assert large.prepared.threads == threads.limit()


def test_another_number_of_threads_makes_another_primitive() -> None:
    before = threads.limit()
    try:
        for count in (1, before + 1):
            threads.set_limit(count)
            made = primitive_for(PRODUCTS["mm, threads"])
            assert made is not None
            assert made.prepared.threads == count
    finally:
        threads.set_limit(before)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_packed_weights(name: str) -> None:
    spec = CONVOLUTIONS[name]
    primitive = primitive_for(spec, packed=(1,))
    assert primitive is not None
    (packing,) = primitive.packings
    assert (packing.number, packing.meta) == (1, spec.inputs[1])
    source = np.random.default_rng(0)
    inputs: list[Any] = [None if m is None else filled(m, source) for m in spec.inputs]
    copy = np.empty(packing.bytes, np.uint8)
    run_prepared(packing.prepared, [inputs[1], copy])
    output = filled(spec.out, source)
    arrays = [inputs[number] for number, _ in primitive.inputs]
    arrays[packing.position] = copy
    execute(primitive, [*arrays, output])
    expected = spec.op.kernel(spec, *spec.attrs)(*inputs)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("name", [n for n in CONVOLUTIONS if "pixel" in n])
def test_few_pixels_in_the_interpreter(name: str) -> None:
    forward = CONVOLUTIONS[name]
    x, w, _ = forward.inputs
    assert x is not None
    assert w is not None
    grad = make_meta(tuple(forward.out.shape), float32)
    attrs = {k: forward.attr(k) for k in ("stride", "padding", "dilation", "groups")}
    specs = [
        forward,
        spec_of("convolution_input_grad", grad, w, shape=tuple(x.shape), **attrs),
        spec_of("convolution_weight_grad", x, grad, shape=tuple(w.shape), **attrs),
    ]
    source = np.random.default_rng(0)
    for spec in specs:
        arrays = [filled(m, source) for m in spec.inputs if m is not None]
        expected = spec.op.kernel(spec, *spec.attrs)(*arrays)
        scale = max(1.0, float(np.abs(expected).max()))
        for _ in range(2):
            np.testing.assert_allclose(spec.kernel(*arrays), expected, rtol=1e-5, atol=1e-5 * scale)
