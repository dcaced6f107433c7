"""Methods that only exist in place: fill_, zero_, copy_.

The old contents are not needed by any of them, so the new value does not depend on the old one
unless autograd must see that the old one's gradient is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import BOOL, COMPLEX, INTEGRAL, SCALAR_NAMES, dtype
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import POINTWISE, Op, Spec, composite, write
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops.arithmetic import abs_ as absolute
from rushlight.engine.ops.arithmetic_functions import float_power
from rushlight.engine.ops.arithmetic_power import power
from rushlight.engine.ops.arithmetic_rules import no_gradient, numbered
from rushlight.engine.ops.compare import (
    ALIASES,
    eq,
    ge,
    gt,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from rushlight.engine.ops.conversion import copy_into
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.view import as_layout, expand, to_dtype


def _filled_kernel(spec: Spec, whole: Meta) -> Callable[[Any], np.ndarray]:
    target = whole.dtype.numpy

    def kernel(value: Any) -> np.ndarray:
        made = empty_strided(whole)
        if isinstance(value, int) and target.kind in "iu":
            value = np.asarray(value & (1 << 8 * target.itemsize) - 1, np.uint64)
        number = np.asarray(value)
        made[...] = (number if target.kind == "c" else number.real).astype(target)
        return made

    return kernel


filled = Op(
    "filled(Tensor value, Meta whole)",
    kind=POINTWISE,
    infer=lambda value, whole: whole,
    kernel=_filled_kernel,
    scalar=lambda value, whole: value,
    grad={"value": lambda g: g.sum()},
    grad_name=numbered("Fill", tensors=3),
)


#: How PyTorch spells the types in its message about numbers that do not fit.
_SPELLED: Final = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float32": "float",
}  # fmt: skip


def _check_fits(value: Any, found: dtype) -> None:
    """Refuse a number the type cannot hold, in PyTorch's words."""
    category = found.category
    if category in (BOOL, COMPLEX) or isinstance(value, TensorBase):
        return
    fits = not isinstance(value, complex)
    if fits and category == INTEGRAL:
        bits = 8 * found.itemsize
        low = -(1 << bits - found.is_signed)
        fits = math.isfinite(value) and low <= value < 1 << bits - found.is_signed
    if not fits:
        raise RuntimeError(
            f"value cannot be converted to type {_SPELLED.get(found.name, 'double')} "
            "without overflow"
        )


def _filled_record(name: str, grad_name: Any) -> Op:
    """A filled tensor that autograd knows as what has replaced ``input``."""

    def infer(input: Meta, value: Meta) -> Meta:
        return broadcast_meta((input,), input.dtype) if name == "fill" else input

    return Op(
        f"{name}(Tensor input, Tensor value)",
        kind=POINTWISE,
        infer=infer,
        kernel=lambda spec: _replace_kernel(spec),
        scalar=lambda x, value: value,
        grad={"input": no_gradient, "value": lambda g: g.sum()},
        grad_name=grad_name,
    )


def _replace_kernel(spec: Spec) -> Callable[[Any, Any], np.ndarray]:
    fill_with = _filled_kernel(spec, spec.out)
    return lambda x, value: fill_with(value)


fill_op = _filled_record("fill", numbered("Fill", tensors=1, number=0))
fill_into = _filled_record("fill_into", numbered("Fill", tensors=3, number=2))
zero_into = _filled_record("zero_into", "Zero")


def _watched(input: Any) -> bool:
    """Whether autograd follows what becomes of the tensor (a leaf can only be written unseen)."""
    return input._edge is not None and not input._edge[0].is_leaf_node


def _filled(op: Op, input: Any, value: Any, meta: Meta | None = None) -> Any:
    meta = meta or input._value.meta
    if isinstance(value, TensorBase) and value._value.meta.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value._value.meta.ndim} dimensions."
        )
    _check_fits(value, meta.dtype)
    return op.quick(input, value) if input._edge is not None else filled(value, whole=meta)


@composite(samples=(S(t(3, 4), 2.5), S(ti(3), 7), S(t(2), t())))
def fill(input: Any, value: Any) -> Any:
    """A tensor like ``input`` with ``value`` everywhere.

    Args:
        input: gives shape and type.
        value: a number or a 0-d tensor.

    >>> import rushlight as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    return _filled(fill_op, input, value, broadcast_meta((input._value.meta,), input.dtype))


@composite(namespaces=("torch",), method=True, samples=(S(t(3, 4), 2.5), S(t(2), t())))
def fill_(input: Any, value: Any) -> Any:
    """Put ``value`` everywhere, in place.

    Args:
        input: the tensor to write to.
        value: a number or a 0-d tensor.

    >>> import rushlight as torch
    >>> torch.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    return write(input, _filled(fill_into, input, value), "fill_")


@composite(namespaces=("torch",), method=True, samples=(S(t(3, 4)), S(ti(3))))
def zero_(input: Any) -> Any:
    """Put 0 everywhere, in place.

    >>> import rushlight as torch
    >>> torch.ones(2).zero_()
    tensor([0., 0.])
    """
    return write(input, _filled(zero_into, input, 0), "zero_")


def _fitted(source: Any, meta: Meta) -> Any:
    """``source`` with the shape, type and layout of ``meta``."""
    have = source._value.meta
    if have.shape != meta.shape:
        if broadcast_shapes(have.shape, meta.shape) != tuple(meta.shape):
            raise RuntimeError(
                f"The expanded size of the tensor ({list(meta.shape)}) must match the existing "
                f"size ({list(have.shape)})"
            )
        source = expand(source, size=tuple(meta.shape))
    if have.dtype is not meta.dtype:
        source = to_dtype(source, dtype=meta.dtype)
    if source._value.meta is not meta:
        source = as_layout(source, strides=meta.strides)
    return source


@composite(
    namespaces=(), method=True, samples=(S(t(3, 4), t(3, 4)), S(t(3, 4), t(4)), S(t(3), ti(3)))
)
def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Put the contents of ``src`` into the tensor, in place.

    Args:
        self: the tensor to write to.
        src: a tensor that broadcasts to its shape; converted to its type.
        non_blocking: accepted; copies within one memory need no waiting.

    >>> import rushlight as torch
    >>> torch.zeros(2).copy_(torch.tensor([1, 2]))
    tensor([1., 2.])
    """
    if not isinstance(src, TensorBase):
        if not isinstance(src, (int, float, complex)):
            raise TypeError(
                f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
            )
        src = filled(src, whole=self._value.meta)
    if _watched(self) or src._edge is not None:
        src = copy_into(self, _fitted(src, self._value.meta))
    return write(self, src, "copy_")


def _absolute_(input: Any, name: str) -> Any:
    if input.dtype.category == COMPLEX:
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return write(input, absolute.quick(input), name)


@composite(method=True, samples=(S(t(3, 4)), S(ti(3))))
def abs_(input: Any) -> Any:
    """The absolute value, in place.

    >>> import rushlight as torch
    >>> torch.tensor([-1.5, 2.0]).abs_()
    tensor([1.5000, 2.0000])
    """
    return _absolute_(input, "abs_")


@composite(method=True, samples=(S(t(3, 4)),))
def absolute_(input: Any) -> Any:
    """Another name of ``abs_``.

    >>> import rushlight as torch
    >>> torch.tensor([-1.5, 2.0]).absolute_()
    tensor([1.5000, 2.0000])
    """
    return _absolute_(input, "absolute_")


@composite(namespaces=(), method=True, samples=(S(t(3, dtype="float64", low=0.1), 1.5),))
def float_power_(self: Any, exponent: Any) -> Any:
    """``self ** exponent`` in double precision, in place (for tensors of that precision alone).

    >>> import rushlight as torch
    >>> torch.tensor([4.0], dtype=torch.float64).float_power_(0.5)
    tensor([2.], dtype=torch.float64)
    """
    result = float_power(self, exponent)
    if result.dtype is not self.dtype:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {SCALAR_NAMES[self.dtype]} but the "
            f"operation's result requires dtype {SCALAR_NAMES[result.dtype]}"
        )
    return write(self, result, "float_power_")


def _comparison_(op: Op) -> None:
    """Record ``eq_`` and its like: autograd sees that nothing of the old contents is left."""
    name = f"{op.name}_"

    def compare(self: Any, other: Any) -> Any:
        result = op.quick(self, other)
        if _watched(self):
            result = copy_into(self, _fitted(result, self._value.meta))
        return write(self, result, name)

    words = f"``{op.name}``, in place: 1 for true and 0 for false."
    shown = f"torch.tensor([1, 2]).{name}(1).dtype\n    torch.int64"
    compare.__doc__ = f"{words}\n\n    >>> import rushlight as torch\n    >>> {shown}\n    "
    samples = (S(t(3, 4), t(4)), S(t(3), 0.5), S(ti(5), ti(5)))
    composite(name=name, namespaces=(), method=True, samples=samples)(compare)
    alias = ALIASES.get(op.name)
    if alias is not None:
        composite(name=f"{alias}_", namespaces=(), method=True, samples=samples)(compare)


for _op in (eq, ne, lt, le, gt, ge):
    _comparison_(_op)


def _logic_(name: str, function: Callable[..., Any]) -> None:
    """Record ``logical_and_`` and its like, which PyTorch's autograd does not follow."""

    def logic(self: Any, *other: Any) -> Any:
        write(self.detach(), function(self, *other), f"{name}_")
        return self

    other = "" if name == "logical_not" else "torch.tensor([True])"
    shown = f"torch.tensor([1, 2]).{name}_({other}).dtype\n    torch.int64"
    logic.__doc__ = (
        f"``{name}``, in place: 1 for true and 0 for false.\n\n"
        f"    >>> import rushlight as torch\n    >>> {shown}\n    "
    )
    x = t(3, 4, grad=False)
    samples = (S(x), S(tb(3))) if name == "logical_not" else (S(x, t(4)), S(tb(3), tb(3)))
    composite(name=f"{name}_", namespaces=(), method=True, samples=samples)(logic)


_logic_("logical_and", logical_and)
_logic_("logical_or", logical_or)
_logic_("logical_xor", logical_xor)
_logic_("logical_not", logical_not)


@composite(namespaces=(), method=True, samples=(S(t(3, low=0.1), 1.5), S(t(3, low=0.1), t(3))))
def __ipow__(self: Any, other: Any) -> Any:
    """``self **= other``."""
    return write(self, power(self, other), "pow_")
