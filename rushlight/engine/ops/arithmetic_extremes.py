"""The larger and the smaller of two tensors; their gradient is shared where they are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import BINARY, S, t, ti
from rushlight.engine.ir.scalar import Expr, where
from rushlight.engine.ops.arithmetic_rules import guarded, require_tensor
from rushlight.engine.ops.blend import keep_where
from rushlight.engine.ops.bodies import larger, smaller
from rushlight.engine.ops.elementwise import broadcast_meta, pointwise, result_type


def _extreme_kernel(spec: Spec, largest: bool) -> Callable[..., Any]:
    beaten = np.less if largest else np.greater
    dtype = spec.out.dtype.numpy

    def kernel(g: Any, x: Any, y: Any) -> Any:
        found = keep_where(np.asarray(np.logical_not(beaten(x, y))), g)
        ties = np.equal(x, y)
        if ties.any():
            found = np.multiply(found, dtype.type(0.5), out=found, where=ties)
        return found

    return kernel


def _share(g: Expr, x: Expr, y: Expr, largest: bool) -> Expr:
    beaten = x < y if largest else x > y
    return where(beaten, 0, where(x.eq(y), g * 0.5 if g.floating else g, g))


def _share_types(metas: tuple[Meta, ...], attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    compared = result_type(metas[1:])
    return None, compared, compared


extreme_backward: Op = pointwise(
    "extreme_backward(Tensor grad, Tensor input, Tensor other, bool largest)",
    np.multiply,
    scalar=_share,
    compute=_share_types,
    infer=lambda grad, input, other, largest: broadcast_meta((grad, input, other), grad.dtype),
    kernel=_extreme_kernel,
    grad={
        "grad": lambda g, input, other, largest: extreme_backward(g, input, other, largest=largest)
    },
)


def _extreme(name: str, function: np.ufunc, largest: bool, doc: str) -> Any:
    schema = f"{name}(Tensor input, Tensor other)"
    refusal = (RuntimeError, f"{name} not implemented for complex tensors.")

    def share(g: Any, first: Any, second: Any) -> Any:
        return extreme_backward(g, first, second, largest=largest)

    op = pointwise(
        schema,
        function,
        scalar=larger if largest else smaller,
        infer=guarded(2, complex=refusal),
        grad={
            "input": lambda g, input, other: share(g, input, other),
            "other": lambda g, input, other: share(g, other, input),
        },
    )

    def face(input: Any, other: Any) -> Any:
        require_tensor(input, name, "input", 1)
        require_tensor(other, name, "other", 2)
        return op.quick(input, other)

    face.__doc__ = doc
    return composite(name=name, method=True, samples=(*BINARY, S(ti(3, 2), t(2)), S(ti(4), ti(4))))(
        face
    )


maximum = _extreme(
    "maximum",
    np.maximum,
    True,
    """The larger of two tensors, element by element; NaN where either is.

    Args:
        input: a tensor of a real type.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.maximum(torch.tensor([1, 2]), torch.tensor([3, 0]))
    tensor([3, 2])
    """,
)

minimum = _extreme(
    "minimum",
    np.minimum,
    False,
    """The smaller of two tensors, element by element; NaN where either is.

    Args:
        input: a tensor of a real type.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.minimum(torch.tensor([1, 2]), torch.tensor([3, 0]))
    tensor([1, 0])
    """,
)
