"""Products of vectors, matrices and batches of matrices, and their gradients.

Note: the transposed products
    ``matmul_nn``, ``matmul_nt`` and ``matmul_tn`` multiply without copying a transposed matrix
    (``n``: as it is, ``t``: transposed), and each one's gradients are the other two. ``batched``
    does the same for batches, with two flags. So derivatives of any order stay among these.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import C_NAMES, SCALAR_NAMES, bool_, dtype, int16, int64
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import MATMUL, Op, Spec, hooks
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce import sum_
from rushlight.engine.ops.view import expand
from rushlight.engine.ops.written_out import Build, is_half, narrowed, usable, widened

Array = np.ndarray

#: PyTorch's matrix products spell these two types in a way of their own.
_TYPE_NAMES: dict[dtype, str] = {**C_NAMES, int64: "long int", int16: "short int"}


def type_name(found: dtype) -> str:
    """A type as PyTorch's messages about C++ types spell it: ``"long int"``."""
    return _TYPE_NAMES.get(found, found.name)


def conj(x: Any) -> Any:
    """The complex conjugate, ``x`` itself where it is real."""
    return x.conj() if x.dtype.is_complex else x


def require_one_dtype(mat1: Meta, mat2: Meta) -> None:
    """PyTorch's error for factors of different types, or of a type without a product."""
    if mat1.dtype is not mat2.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: "
            f"{type_name(mat1.dtype)} != {type_name(mat2.dtype)}\n"
            f"Convert one of them, for example with .to({mat2.dtype!r})."
        )
    if mat1.dtype is bool_:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")


def require_inner(rows: int, inner: int, inner2: int, columns: int, advice: str = "") -> None:
    """PyTorch's error for matrices whose inner sizes differ."""
    if inner != inner2:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied "
            f"({rows}x{inner} and {inner2}x{columns}){advice}"
        )


def in_compute_type(spec: Spec, function: Callable[..., Array]) -> Callable[..., Array]:
    """``function`` on arrays of the computing type, rounded once to the type of the result."""
    out = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    if compute == out:
        return function

    def call(*arrays: Any) -> Array:
        raised = [x.astype(compute) if isinstance(x, np.ndarray) else x for x in arrays]
        return np.asarray(function(*raised)).astype(out)

    return call


def in_single(name: str) -> Callable[..., Any]:
    """The decomposition of a product of half types: in float32, rounded once."""

    def decompose(build: Build, *parts: Any) -> Any:
        op = Op.registry[name]
        values = parts[: len(op.input_names)]
        kind = values[0].meta.dtype
        if not usable(*values) or not is_half(kind):
            return None
        given = dict(zip(op.attr_names, parts[len(values) :], strict=True))
        return narrowed(build, build(name, *(widened(build, v) for v in values), **given), kind)

    return decompose


# two matrices ----------------------------------------------------------------------------------


def _mm_infer(input: Meta, mat2: Meta) -> Meta:
    if input.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if mat2.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    require_inner(*input.shape, *mat2.shape)
    require_one_dtype(input, mat2)
    return make_meta((input.shape[0], mat2.shape[1]), input.dtype)


mm = Op(
    "mm(Tensor input, Tensor mat2)",
    kind=MATMUL,
    infer=_mm_infer,
    kernel=lambda spec: in_compute_type(spec, np.matmul),
    decompose=in_single("mm"),
    grad={
        "input": lambda g, mat2: matmul_nt(g, conj(mat2)),
        "mat2": lambda g, input: matmul_tn(conj(input), g),
    },
)


# rows of any rank with one matrix ---------------------------------------------------------------


def _rows(meta: Meta) -> int:
    return prod(meta.shape[:-1])


def _nn_infer(input: Meta, other: Meta) -> Meta:
    require_inner(_rows(input), input.shape[-1], *other.shape)
    require_one_dtype(input, other)
    return make_meta((*input.shape[:-1], other.shape[1]), input.dtype)


def _nt_infer(input: Meta, other: Meta) -> Meta:
    features, taken = input.shape[-1], other.shape[-1]
    advice = f"\nThe input's last axis has {features} features, the weight takes {taken}."
    require_inner(_rows(input), features, taken, other.shape[0], advice)
    require_one_dtype(input, other)
    return make_meta((*input.shape[:-1], other.shape[0]), input.dtype)


def _tn_infer(input: Meta, other: Meta) -> Meta:
    return make_meta((input.shape[-1], other.shape[-1]), input.dtype)


def _rows_kernel(spec: Spec, transposed: bool) -> Callable[[Array, Array], Array]:
    """``x W`` or ``x W^T``: all leading axes of ``x`` count as rows of one matrix."""
    source = spec.inputs[0]
    assert source is not None
    shape, width = tuple(spec.out.shape), source.shape[-1]
    if source.ndim == 2:
        if transposed:
            return lambda x, w: np.matmul(x, w.T)
        return np.matmul
    rows = prod(shape[:-1])
    if transposed:
        return lambda x, w: np.matmul(x.reshape(rows, width), w.T).reshape(shape)
    return lambda x, w: np.matmul(x.reshape(rows, width), w).reshape(shape)


def _tn_kernel(spec: Spec) -> Callable[[Array, Array], Array]:
    first, second = spec.inputs
    assert first is not None
    assert second is not None
    rows, left, right = _rows(first), first.shape[-1], second.shape[-1]
    if first.ndim == 2:
        return lambda x, y: np.matmul(x.T, y)
    return lambda x, y: np.matmul(x.reshape(rows, left).T, y.reshape(rows, right))


matmul_nn = Op(
    "matmul_nn(Tensor input, Tensor other)",
    kind=MATMUL,
    infer=_nn_infer,
    kernel=lambda spec: in_compute_type(spec, _rows_kernel(spec, False)),
    decompose=in_single("matmul_nn"),
    grad={
        "input": lambda g, other: matmul_nt(g, conj(other)),
        "other": lambda g, input: matmul_tn(conj(input), g),
    },
    grad_name="UnsafeView",
)

_NT_GRAD: dict[str, Callable[..., Any]] = {
    "input": lambda g, other: matmul_nn(g, conj(other)),
    "other": lambda g, input: matmul_tn(g, conj(input)),
}

matmul_nt: Op = Op(
    "matmul_nt(Tensor input, Tensor other)",
    kind=MATMUL,
    infer=_nt_infer,
    kernel=lambda spec: in_compute_type(spec, _rows_kernel(spec, True)),
    decompose=in_single("matmul_nt"),
    grad=_NT_GRAD,
    grad_name="Mm",
)

matmul_nt_rows = Op(
    "matmul_nt_rows(Tensor input, Tensor other)",
    kind=MATMUL,
    infer=_nt_infer,
    kernel=lambda spec: in_compute_type(spec, _rows_kernel(spec, True)),
    decompose=in_single("matmul_nt_rows"),
    grad=_NT_GRAD,
    grad_name="UnsafeView",
)

# (..., n) and (..., k): the product of the transposed first with the second, (n, k)
matmul_tn: Op = Op(
    "matmul_tn(Tensor input, Tensor other)",
    kind=MATMUL,
    infer=_tn_infer,
    kernel=lambda spec: in_compute_type(spec, _tn_kernel(spec)),
    decompose=in_single("matmul_tn"),
    grad={
        "input": lambda g, other: matmul_nt(conj(other), g),
        "other": lambda g, input: matmul_nn(conj(input), g),
    },
    grad_name="Mm",
)


# linear ----------------------------------------------------------------------------------------


def _linear_infer(bias: Meta, input: Meta, weight: Meta) -> Meta:
    features, taken = input.shape[-1], weight.shape[-1]
    advice = f"\nThe input's last axis has {features} features, the weight takes {taken}."
    require_inner(_rows(input), features, taken, weight.shape[0], advice)
    advice = "\nConvert the input or the layer, for example with .float() or .to(torch.float64)."
    for first, second, name in ((input, weight, "mat1"), (bias, weight, "self")):
        if first.dtype is not second.dtype:
            raise RuntimeError(
                f"{name} and mat2 must have the same dtype, but got "
                f"{SCALAR_NAMES[first.dtype]} and {SCALAR_NAMES[second.dtype]}{advice}"
            )
    require_one_dtype(input, weight)
    size = (_rows(input), weight.shape[0])
    if bias.ndim != 1 or bias.shape[0] != size[1]:
        expand.infer(bias, size)
    return make_meta((*input.shape[:-1], size[1]), input.dtype)


def _linear_kernel(spec: Spec) -> Callable[..., Array]:
    source = spec.inputs[1]
    assert source is not None
    shape, width = tuple(spec.out.shape), source.shape[-1]
    rows = prod(shape[:-1])

    def matrix(b: Array, x: Array, w: Array) -> Array:
        made = np.matmul(x, w.T)
        made += b
        return made

    if source.ndim == 2:
        return in_compute_type(spec, matrix)
    return in_compute_type(
        spec, lambda b, x, w: matrix(b, x.reshape(rows, width), w).reshape(shape)
    )


def sum_rows(g: Any, meta: Meta) -> Any:
    """The gradient of a bias: the sum over all rows."""
    if meta.ndim == 1 and g._value.meta.ndim > 1:
        dims = tuple(range(g._value.meta.ndim - 1))
        return hooks.record(sum_, (g,), (dims, False, None))
    return g


_LINEAR_GRAD: dict[str, Callable[..., Any]] = {
    "bias": lambda g, bias_meta: sum_rows(g, bias_meta),
    "input": lambda g, weight: matmul_nn(g, conj(weight)),
    "weight": lambda g, input: matmul_tn(g, conj(input)),
}

# The bias comes first, as in PyTorch's graph: ``y.grad_fn.next_functions[0]`` leads to it.
linear = Op(
    "linear_(Tensor bias, Tensor input, Tensor weight)",
    kind=MATMUL,
    infer=_linear_infer,
    kernel=_linear_kernel,
    decompose=in_single("linear_"),
    grad=_LINEAR_GRAD,
    grad_name="Addmm",
)

linear_rows = Op(
    "linear_rows(Tensor bias, Tensor input, Tensor weight)",
    kind=MATMUL,
    infer=_linear_infer,
    kernel=_linear_kernel,
    decompose=in_single("linear_rows"),
    grad=_LINEAR_GRAD,
    grad_name="View",
)


# batches ---------------------------------------------------------------------------------------


def require_batches(batch1: Meta, batch2: Meta) -> None:
    """PyTorch's errors for two batches of matrices that cannot be multiplied."""
    for number, meta in ((1, batch1), (2, batch2)):
        if meta.ndim != 3:
            raise RuntimeError(f"batch{number} must be a 3D tensor")
    expected = [batch1.shape[0], batch1.shape[2]]
    if list(batch2.shape[:2]) != expected:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {expected} but got: "
            f"{list(batch2.shape[:2])}."
        )
    require_scalar_type(batch1, batch2)


def require_scalar_type(first: Meta, second: Meta) -> None:
    """PyTorch's error for batches of different types."""
    if first.dtype is not second.dtype:
        raise RuntimeError(
            f"expected scalar type {SCALAR_NAMES[first.dtype]} but found "
            f"{SCALAR_NAMES[second.dtype]}"
        )
    if first.dtype is bool_:
        raise NotImplementedError("\"baddbmm\" not implemented for 'Bool'")


def _bmm_infer(input: Meta, mat2: Meta) -> Meta:
    require_batches(input, mat2)
    return make_meta((*input.shape[:2], mat2.shape[2]), input.dtype)


bmm = Op(
    "bmm(Tensor input, Tensor mat2)",
    kind=MATMUL,
    infer=_bmm_infer,
    kernel=lambda spec: in_compute_type(spec, np.matmul),
    decompose=in_single("bmm"),
    grad={
        "input": lambda g, mat2: product(g, conj(mat2), False, True),
        "mat2": lambda g, input: product(conj(input), g, True, False),
    },
)


def _batched_infer(input: Meta, other: Meta, transpose1: bool, transpose2: bool) -> Meta:
    rows, inner = input.shape[-2:][::-1] if transpose1 else input.shape[-2:]
    inner2, columns = other.shape[-2:][::-1] if transpose2 else other.shape[-2:]
    batch = broadcast_shapes(input.shape[:-2], other.shape[:-2])
    if inner != inner2:
        count = prod(batch)
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{count}, {inner}] "
            f"but got: [{count}, {inner2}]."
        )
    require_scalar_type(input, other)
    return make_meta((*batch, rows, columns), input.dtype)


def _swap_last(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _batched_kernel(spec: Spec, transpose1: bool, transpose2: bool) -> Callable[..., Array]:
    if transpose1 and transpose2:
        call: Callable[..., Array] = lambda x, y: np.matmul(  # noqa: E731
            _swap_last(x), _swap_last(y)
        )
    elif transpose1:
        call = lambda x, y: np.matmul(_swap_last(x), y)  # noqa: E731
    elif transpose2:
        call = lambda x, y: np.matmul(x, _swap_last(y))  # noqa: E731
    else:
        call = np.matmul
    return in_compute_type(spec, call)


def _first_grad(g: Any, other: Any, transpose1: bool, transpose2: bool) -> Any:
    other = conj(other)
    if transpose1:
        return product(other, g, transpose2, True)
    return product(g, other, False, not transpose2)


def _second_grad(g: Any, input: Any, transpose1: bool, transpose2: bool) -> Any:
    input = conj(input)
    if transpose2:
        return product(g, input, True, transpose1)
    return product(input, g, not transpose1, False)


batched = Op(
    "batched(Tensor input, Tensor other, bool transpose1, bool transpose2)",
    kind=MATMUL,
    infer=_batched_infer,
    kernel=_batched_kernel,
    decompose=in_single("batched"),
    grad={"input": _first_grad, "other": _second_grad},
    grad_name="UnsafeView",
)


def product(first: Any, second: Any, transpose1: bool = False, transpose2: bool = False) -> Any:
    """The product of (batches of) matrices, each transposed first where its flag says so."""
    return hooks.record(batched, (first, second), (transpose1, transpose2))


# vectors ---------------------------------------------------------------------------------------


def _mv_infer(input: Meta, vec: Meta) -> Meta:
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}), mat "
            f"({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})"
        )
    if input.dtype is not vec.dtype:
        second, first = SCALAR_NAMES[vec.dtype], SCALAR_NAMES[input.dtype]
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {second}, {first}, and {second}"
        )
    return make_meta((input.shape[0],), input.dtype)


mv = Op(
    "mv(Tensor input, Tensor vec)",
    kind=MATMUL,
    infer=_mv_infer,
    kernel=lambda spec: in_compute_type(spec, np.matmul),
    decompose=in_single("mv"),
    grad={
        "input": lambda g, vec: column(g) * conj(vec),
        "vec": lambda g, input: matmul_nn(g, conj(input)),
    },
)


def column(vector: Any) -> Any:
    """A vector as a matrix of one column."""
    return vector.reshape((-1, 1))


def _dot_infer(input: Meta, tensor: Meta) -> Meta:
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype is not tensor.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found "
            f"{SCALAR_NAMES[input.dtype]} and {SCALAR_NAMES[tensor.dtype]}"
        )
    if input.shape != tensor.shape:
        have, got = input.shape[0], tensor.shape[0]
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{have}] and src [{got}] to have the same "
            f"number of elements, but got {have} and {got} elements respectively"
        )
    return make_meta((), input.dtype)


dot = Op(
    "dot(Tensor input, Tensor tensor)",
    kind=MATMUL,
    infer=_dot_infer,
    kernel=lambda spec: in_compute_type(spec, lambda x, y: np.asarray(np.dot(x, y))),
    decompose=in_single("dot"),
    grad={
        "input": lambda g, tensor: g * conj(tensor),
        "tensor": lambda g, input: g * conj(input),
    },
)

vdot = Op(
    "vdot(Tensor input, Tensor other)",
    kind=MATMUL,
    infer=_dot_infer,
    kernel=lambda spec: in_compute_type(spec, lambda x, y: np.asarray(np.vdot(x, y))),
    grad={
        "input": lambda g, other: conj(g) * other,
        "other": lambda g, input: g * input,
    },
)
