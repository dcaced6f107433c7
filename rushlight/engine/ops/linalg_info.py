"""Inverses, solutions and factors that report what failed instead of raising."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int32
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.linalg_checks import (
    LinAlgError,
    bad_minor,
    batch_of,
    each_matrix,
    zero_pivot,
)
from rushlight.engine.ops.linalg_solve import cholesky, inverse, solve

Array = np.ndarray


def _one_by_one(
    compute: Callable[..., Array], find: Callable[[Array], int], made: Array, inputs: list[Array]
) -> None:
    """Fill ``made`` matrix by matrix, with NaN where ``find`` names a reason."""
    for number in range(len(made)):
        matrices = [x[number] for x in inputs]
        made[number] = np.nan if find(matrices[0]) else compute(*matrices)


def _with_info(base: Op, find: Callable[[Array], int]) -> Op:
    """``base`` with a second output: 0 for each matrix, or where it failed, counted from 1."""
    name = base.name.rstrip("_") + "_info"

    def infer(*arguments: Any) -> tuple[Meta, Meta]:
        made: Any = base.infer(*arguments)
        return made, make_meta(batch_of(arguments[0]), int32)

    def kernel(spec: Spec, *attrs: Any) -> Callable[..., tuple[Array, Array]]:
        made_kernel = base.kernel(spec, *attrs)
        assert made_kernel is not None
        compute: Callable[..., Array] = made_kernel
        shape, reasons = tuple(spec.out.shape), tuple(spec.outs[1].shape)
        vector = len(attrs) == 2 and bool(attrs[1])
        core = shape[-1:] if vector else shape[-2:]
        batch = shape[: len(shape) - len(core)]

        def call(a: Array, *rest: Array) -> tuple[Array, Array]:
            try:
                return compute(a, *rest), np.zeros(reasons, np.int32)
            except LinAlgError:
                made = np.empty((int(np.prod(batch, dtype=int)), *core), spec.out.dtype.numpy)
                inputs = [each_matrix(np.broadcast_to(a, (*batch, *a.shape[-2:])))[0]]
                for x in rest:
                    whole = np.broadcast_to(x, (*batch, *x.shape[-len(core) :]))
                    inputs.append(whole.reshape(-1, *x.shape[-len(core) :]))
                _one_by_one(compute, find, made, inputs)
                info = [find(matrix) for matrix in each_matrix(a)[0]]
                return made.reshape(shape), np.asarray(info, np.int32).reshape(reasons)

        return call

    return Op(
        base.schema.replace(base.name, name, 1),
        kind=OTHER,
        infer=infer,
        kernel=kernel,
        grad=base.grad,
        grad_name=base.grad_name,
        differentiable=1,
    )


inverse_info = _with_info(inverse, zero_pivot)
solve_info = _with_info(solve, zero_pivot)
cholesky_info = _with_info(cholesky, bad_minor)


def _zero_diagonal(matrix: Array) -> int:
    zeros = np.flatnonzero(np.diagonal(matrix) == 0)
    return int(zeros[0]) + 1 if zeros.size else 0


def _diagonal_kernel(spec: Spec) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)
    return lambda x: np.asarray(
        [_zero_diagonal(matrix) for matrix in each_matrix(x)[0]], np.int32
    ).reshape(shape)


# which element of the diagonal is the first that is 0, counted from 1; 0 if none is
zero_diagonal = Op(
    "zero_diagonal(Tensor input)",
    kind=OTHER,
    infer=lambda input: make_meta(batch_of(input), int32),
    kernel=_diagonal_kernel,
)
