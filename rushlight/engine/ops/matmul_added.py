"""Products added to a tensor: ``beta * input + alpha * product``, and their gradients.

``beta`` and ``alpha`` are run-time numbers; ``None`` stands for 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import COMPLEX, FLOATING, SCALAR_NAMES
from rushlight.engine.core.shape import Shape, pointwise_strides
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta
from rushlight.engine.ir.op import MATMUL, Op, Spec
from rushlight.engine.ops.elementwise import result_type
from rushlight.engine.ops.matmul import (
    column,
    conj,
    in_compute_type,
    matmul_nn,
    matmul_nt,
    matmul_tn,
    product,
    require_batches,
    require_inner,
    require_one_dtype,
)
from rushlight.engine.ops.view import expand
from rushlight.engine.ops.written_out import Build, narrowed, usable, widened

Array = np.ndarray
Formula = Callable[..., Any]


def _scale(x: Any, factor: Any) -> Any:
    return x if factor is None else x * factor


def _finish(input: Meta, size: Shape, factor: Meta) -> Meta:
    expand.infer(input, size)
    if input.dtype is not factor.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {SCALAR_NAMES[input.dtype]} and "
            f"{SCALAR_NAMES[factor.dtype]}"
        )
    return make_meta(size, input.dtype)


def _number_type(meta: Meta) -> Callable[[Any], Any]:
    """What a factor is converted to: an integral product takes its integral part."""
    return (
        complex
        if meta.dtype.category == COMPLEX
        else (float if meta.dtype.category == FLOATING else int)
    )


def _kernel(multiply: Callable[[Array, Array], Array]) -> Callable[[Spec], Callable[..., Array]]:
    """The kernel factory of ``beta * input + alpha * multiply(first, second)``."""

    def prepare(spec: Spec) -> Callable[..., Array]:
        shape = tuple(spec.out.shape)
        kind = _number_type(spec.out)

        def call(input: Array, first: Array, second: Array, beta: Any, alpha: Any) -> Array:
            made = np.asarray(multiply(first, second))
            if made.shape != shape:
                made = np.broadcast_to(made, shape)
            if alpha is not None:
                made = made * kind(alpha)
            if beta is None:
                return np.asarray(made + input)
            # With beta = 0 the input does not count, not even where it is NaN.
            return np.asarray(made + input * kind(beta) if beta != 0 else made)

        return in_compute_type(spec, call)

    return prepare


def _written_out(name: str) -> Callable[..., Any]:
    """The decomposition: a product that a library knows, and what is added in a loop."""

    def decompose(build: Build, x: Any, first: Any, second: Any, beta: Any, alpha: Any) -> Any:
        kind = x.meta.dtype
        if not usable(x, first, second) or kind.category != FLOATING:
            return None
        if beta is not None:  # at run time 0 would leave the input out
            return None
        made = build(name, widened(build, first), widened(build, second))
        made = made if alpha is None else build("mul", made, alpha)
        return narrowed(build, build("add", made, widened(build, x)), kind)

    return decompose


def _added(
    name: str,
    first: str,
    second: str,
    infer: Formula,
    multiply: Callable[[Array, Array], Array],
    first_grad: Formula,
    second_grad: Formula,
    plain: str | None = None,
) -> Op:
    return Op(
        f"{name}(Tensor input, Tensor {first}, Tensor {second}, Tensor? beta, Tensor? alpha)",
        kind=MATMUL,
        infer=infer,
        kernel=_kernel(multiply),
        decompose=None if plain is None else _written_out(plain),
        grad={"input": lambda g, beta: _scale(g, beta), first: first_grad, second: second_grad},
        public=name.rstrip("_"),
        grad_name=name.rstrip("_").capitalize(),
    )


def _addmm_infer(input: Meta, mat1: Meta, mat2: Meta, beta: Any, alpha: Any) -> Meta:
    for number, meta in ((1, mat1), (2, mat2)):
        if meta.ndim != 2:
            raise RuntimeError(f"mat{number} must be a matrix, got {meta.ndim}-D tensor")
    require_inner(*mat1.shape, *mat2.shape)
    if input.dtype is mat1.dtype is not mat2.dtype:
        _finish(input, (mat1.shape[0], mat2.shape[1]), mat2)
    if mat1.dtype is mat2.dtype:
        require_one_dtype(mat1, mat2)
    made = _finish(input, (mat1.shape[0], mat2.shape[1]), mat2)
    require_one_dtype(mat1, mat2)
    return made


addmm = _added(
    "addmm_", "mat1", "mat2", _addmm_infer, np.matmul,
    lambda g, mat2, alpha: matmul_nt(_scale(g, alpha), conj(mat2)),
    lambda g, mat1, alpha: matmul_tn(conj(mat1), _scale(g, alpha)),
    "mm",
)  # fmt: skip


def _baddbmm_infer(input: Meta, batch1: Meta, batch2: Meta, beta: Any, alpha: Any) -> Meta:
    require_batches(batch1, batch2)
    return _finish(input, (*batch1.shape[:2], batch2.shape[2]), batch2)


baddbmm = _added(
    "baddbmm_", "batch1", "batch2", _baddbmm_infer, np.matmul,
    lambda g, batch2, alpha: product(_scale(g, alpha), conj(batch2), False, True),
    lambda g, batch1, alpha: product(conj(batch1), _scale(g, alpha), True, False),
    "bmm",
)  # fmt: skip


def _addbmm_infer(input: Meta, batch1: Meta, batch2: Meta, beta: Any, alpha: Any) -> Meta:
    require_batches(batch1, batch2)
    return _finish(input, (batch1.shape[1], batch2.shape[2]), batch2)


addbmm = _added(
    "addbmm_", "batch1", "batch2", _addbmm_infer,
    lambda x, y: np.tensordot(x, y, ((0, 2), (0, 1))),
    lambda g, batch2, alpha: product(_scale(g, alpha), conj(batch2), False, True),
    lambda g, batch1, alpha: product(conj(batch1), _scale(g, alpha), True, False),
)  # fmt: skip


def _addmv_infer(input: Meta, mat: Meta, vec: Meta, beta: Any, alpha: Any) -> Meta:
    if mat.ndim != 2 or vec.ndim != 1 or input.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}"
        )
    rows, columns = mat.shape
    if columns != vec.shape[0] or (input.numel not in (1, rows)):
        raise RuntimeError(
            f"size mismatch, got input ({input.numel}), mat ({rows}x{columns}), "
            f"vec ({vec.shape[0]})"
        )
    if not input.dtype is mat.dtype is vec.dtype:
        names = [SCALAR_NAMES[m.dtype] for m in (input, mat, vec)]
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {names[0]}, {names[1]}, "
            f"and {names[2]}"
        )
    return make_meta((rows,), input.dtype)


addmv = _added(
    "addmv_", "mat", "vec", _addmv_infer, np.matmul,
    lambda g, vec, alpha: column(_scale(g, alpha)) * conj(vec),
    lambda g, mat, alpha: matmul_nn(_scale(g, alpha), conj(mat)),
    "mv",
)  # fmt: skip


def _addr_infer(input: Meta, vec1: Meta, vec2: Meta, beta: Any, alpha: Any) -> Meta:
    for number, meta in ((1, vec1), (2, vec2)):
        if meta.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{number}, but got {meta.ndim}-D")
    size = (vec1.shape[0], vec2.shape[0])
    expand.infer(input, size)
    (n,), (m,) = vec1.strides, vec2.strides
    operands = [
        (tuple(input.shape), input.strides),
        ((size[0], 1), (n, 1)),
        ((1, size[1]), (1, m)),
    ]
    found = result_type((input, vec1, vec2))
    return strided_meta(size, pointwise_strides(size, operands), found)


addr = _added(
    "addr_", "vec1", "vec2", _addr_infer, np.multiply.outer,
    lambda g, vec2, alpha: matmul_nt(conj(vec2), _scale(g, alpha)),
    lambda g, vec1, alpha: matmul_nn(conj(vec1), _scale(g, alpha)),
)  # fmt: skip
