"""The shape functions: reshape, view, flatten, squeeze, transpose, permute, expand, narrow."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.core.shape import (
    Shape,
    as_shape,
    contiguous_strides,
    infer_size,
    normalize_dim,
    normalize_dims,
    view_strides,
)
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import MAX_SPECS, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops import view as primitive
from rushlight.engine.ops.view_window import view_dtype


def sizes_of(sizes: tuple[Any, ...], name: str, argument: str) -> Shape:
    """Sizes given as ``f(2, 3)`` or ``f((2, 3))``; PyTorch's error for anything but ints."""
    try:
        return as_shape(sizes)
    except (AttributeError, TypeError):
        wrong = next((s for s in sizes if not hasattr(s, "__index__")), sizes)
        raise TypeError(
            f"{name}(): argument '{argument}' (position 1) must be tuple of ints, not "
            f"{type(wrong).__name__}"
        ) from None


def _reshape(input: Any, shape: Shape) -> Any:
    meta = input._value.meta
    if meta.contiguous:
        return hooks.record(primitive.view, (input,), (shape,))
    full = infer_size(shape, meta.numel)
    if view_strides(tuple(meta.shape), meta.strides, full) is not None:
        return hooks.record(primitive.view, (input,), (full,))
    copied = primitive.as_layout(input, strides=contiguous_strides(meta.shape))
    return primitive.unsafe_view(copied, size=full)


_RESHAPE_ERROR = ErrorSample(S(t(2, 3), (4, 2)), RuntimeError, "is invalid for input of size 6")


@composite(samples=(S(t(2, 6), (3, 4)), S(t(2, 3), (-1,)), S(t(4), (2, -1)), S(t(0, 3), (3, 0))),
           errors=(_RESHAPE_ERROR,))  # fmt: skip
def reshape(input: Any, shape: Any) -> Any:
    """``input`` with another shape: a view where its memory allows it, else a copy.

    Args:
        input: any tensor.
        shape: the new sizes; one of them may be -1 and follows from the others.

    Raises:
        RuntimeError: the numbers of elements differ.

    See https://pytorch.org/docs/stable/generated/torch.reshape.html.

    >>> import rushlight as torch
    >>> torch.reshape(torch.arange(4), (2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return _reshape(input, sizes_of((shape,), "reshape", "shape"))


@composite(name="reshape_method", namespaces=(), method="reshape",
           samples=(S(t(2, 6), 3, 4), S(t(2, 3), -1), S(t(2, 6), (4, 3))))  # fmt: skip
def _reshape_method(self: Any, *sizes: Any, shape: Any = None) -> Any:
    """``self`` with another shape: a view where its memory allows it, else a copy.

    >>> import rushlight as torch
    >>> torch.arange(4).reshape(2, -1)
    tensor([[0, 1],
            [2, 3]])
    """
    return _reshape(self, sizes_of(sizes or (shape,), "reshape", "shape"))


@composite(namespaces=(), method=True, samples=(S(t(2, 3), t(3, 2)),))
def reshape_as(self: Any, other: Any) -> Any:
    """``self`` with the shape of ``other``.

    >>> import rushlight as torch
    >>> torch.arange(4).reshape_as(torch.ones(2, 2)).shape
    torch.Size([2, 2])
    """
    return _reshape(self, tuple(other.shape))


@composite(namespaces=(), method=True,
           samples=(S(t(2, 6), 3, 4), S(t(2, 3), -1), S(t(2, 6), (4, 3))))  # fmt: skip
def view(self: Any, *sizes: Any, size: Any = None, dtype: Any = None) -> Any:
    """The same memory with another shape, or its bytes read as another type.

    Args:
        sizes: the new sizes, one of them may be -1; or a dtype.
        size: the sizes by name.
        dtype: the type by name.

    Raises:
        RuntimeError: the memory cannot be looked at in this shape; ``reshape`` would copy it.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.view.html.

    >>> import rushlight as torch
    >>> torch.arange(4).view(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    wanted = dtype if not sizes else sizes[0]
    if wanted.__class__ is _DTYPE:
        return _view_as_type(self, wanted)
    if size is not None:
        sizes = (size,)
    try:
        shape = as_shape(sizes)
    except (AttributeError, TypeError):
        shape = None
    if shape is None or not sizes:
        raise TypeError(
            "view() received an invalid combination of arguments - got "
            f"({', '.join(type(s).__name__ for s in sizes)}), but expected one of:\n"
            " * (torch.dtype dtype)\n * (tuple of ints size)\n"
        )
    return hooks.record(primitive.view, (self,), (shape,))


_DTYPE = dtype


def _view_as_type(self: Any, wanted: dtype) -> Any:
    have = self.dtype
    if wanted.itemsize != have.itemsize:
        names = f"{SCALAR_NAMES[have]} as {SCALAR_NAMES[wanted]}"
        if not self.ndim:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {names} (different element sizes)"
            )
        if self.stride(-1) != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {names} (different element sizes), but got "
                f"{self.stride(-1)}"
            )
        ratio = wanted.itemsize // have.itemsize
        if ratio > 1:
            if self.shape[-1] % ratio:
                raise RuntimeError(
                    f"self.size(-1) must be divisible by {ratio} to view {names} (different "
                    f"element sizes), but got {self.shape[-1]}"
                )
            for axis, stride in enumerate(self.stride()[:-1]):
                if stride % ratio:
                    raise RuntimeError(
                        f"self.stride({axis}) must be divisible by {ratio} to view {names} "
                        f"(different element sizes), but got {stride}"
                    )
    return view_dtype(self, dtype=wanted)


@composite(namespaces=(), method=True, samples=(S(t(2, 3), t(3, 2)),))
def view_as(self: Any, other: Any) -> Any:
    """``self`` looked at with the shape of ``other``.

    >>> import rushlight as torch
    >>> torch.arange(4).view_as(torch.ones(2, 2)).shape
    torch.Size([2, 2])
    """
    if not isinstance(other, TensorBase):
        raise TypeError(
            f"view_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    return hooks.record(primitive.view, (self,), (tuple(other._value.meta.shape),))


@composite(method=True, samples=(S(t(2, 3, 4)), S(t(2, 3, 4), 1), S(t(2, 3, 4), 0, 1), S(t())))
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from ``start_dim`` to ``end_dim`` joined to one.

    See https://pytorch.org/docs/stable/generated/torch.flatten.html.

    >>> import rushlight as torch
    >>> torch.flatten(torch.ones(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    key = input._value.meta, start_dim, end_dim
    known = _flattened.get(key)
    if known is not None:
        return hooks.record(primitive.view, (input,), (known,))
    shape = tuple(input._value.meta.shape)
    ndim = len(shape)
    start, end = normalize_dim(start_dim, ndim), normalize_dim(end_dim, ndim)
    if start > end:
        raise RuntimeError(
            "flatten() has invalid args: start_dim cannot come after end_dim"
        )
    if not ndim:
        return _reshape(input, (1,))
    if start == end:
        return input
    wanted = (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])
    if input._value.meta.contiguous:
        if len(_flattened) > MAX_SPECS:
            _flattened.clear()
        _flattened[key] = wanted
    return _reshape(input, wanted)


#: Shapes of contiguous tensors that have been flattened, by meta and axes.
_flattened: dict[Any, Shape] = {}


@composite(method=True, samples=(S(t(2, 3)), S(t()), S(t(4))))
def ravel(input: Any) -> Any:
    """``input`` as a 1-d tensor, a view where possible.

    >>> import rushlight as torch
    >>> torch.ravel(torch.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    meta = input._value.meta
    if not meta.contiguous:
        input = primitive.as_layout(input, strides=contiguous_strides(meta.shape))
    return hooks.record(primitive.view, (input,), ((meta.numel,),))


@composite(
    method=True, samples=(S(t(2, 6), 1, (2, 3)), S(t(2, 6), -1, (-1, 2)), S(t(4), 0, (2, 2)))
)
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Axis ``dim`` cut into several of these sizes (one may be -1).

    See https://pytorch.org/docs/stable/generated/torch.unflatten.html.

    >>> import rushlight as torch
    >>> torch.unflatten(torch.ones(2, 6), 1, (2, 3)).shape
    torch.Size([2, 2, 3])
    """
    if not input.ndim:
        raise RuntimeError(
            "unflatten got an unexpected error:\nDimension specified as 0 but tensor has no "
            "dimensions"
        )
    dim = normalize_dim(dim, input.ndim)
    listed = [int(size) for size in sizes]
    if not listed:
        raise RuntimeError("unflatten: sizes must be non-empty")
    length = input.shape[dim]
    known = prod(size for size in listed if size != -1)
    fits = known and not length % known if -1 in listed else known == length
    if listed.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if not fits:
        raise RuntimeError(
            f"unflatten: Provided sizes {listed} don't multiply up to the size of dim {dim} "
            f"({length}) in the input tensor"
        )
    listed = [length // known if size == -1 else size for size in listed]
    shape = (*input.shape[:dim], *listed, *input.shape[dim + 1 :])
    return hooks.record(primitive.view, (input,), (shape,))


@composite(method=True, samples=(S(t(1, 3, 1)), S(t(1, 3, 1), 0), S(t(1, 3, 1), (0, -1)),
                                 S(t(2, 3), 0), S(t())))  # fmt: skip
def squeeze(input: Any, dim: Any = None) -> Any:
    """``input`` without its axes of size 1, or without these of them.

    See https://pytorch.org/docs/stable/generated/torch.squeeze.html.

    >>> import rushlight as torch
    >>> torch.squeeze(torch.ones(1, 3, 1)).shape
    torch.Size([3])
    """
    op, dims = _squeezed(input, dim)
    return hooks.record(op, (input,), (dims,))


@composite(namespaces=(), method=True, samples=(S(t(1, 3, 1)), S(t(1, 3, 1), 0)))
def squeeze_(self: Any, dim: Any = None) -> Any:
    """The in-place form of :func:`squeeze`: ``self`` loses axes of size 1.

    >>> import rushlight as torch
    >>> torch.ones(1, 3).squeeze_().shape
    torch.Size([3])
    """
    op, dims = _squeezed(self, dim)
    return hooks.become(op, self, (dims,))


def _squeezed(input: Any, dim: Any) -> tuple[Any, Shape]:
    ndim = input._value.meta.ndim
    if dim is None:
        return primitive.squeeze_all, tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        return primitive.squeeze_several, normalize_dims(dim, ndim) if dim else ()
    return primitive.squeeze, (normalize_dim(dim, ndim),)


@composite(method=True, samples=(S(t(3, 4), 0), S(t(3, 4), -1), S(t(3, 4), 1), S(t(), 0)))
def unsqueeze(input: Any, dim: int) -> Any:
    """``input`` with a new axis of size 1 at ``dim``.

    See https://pytorch.org/docs/stable/generated/torch.unsqueeze.html.

    >>> import rushlight as torch
    >>> torch.unsqueeze(torch.ones(3), 0).shape
    torch.Size([1, 3])
    """
    dim = normalize_dim(dim, input._value.meta.ndim + 1)
    return hooks.record(primitive.unsqueeze, (input,), (dim,))


@composite(namespaces=(), method=True, samples=(S(t(3, 4), 1),))
def unsqueeze_(self: Any, dim: int) -> Any:
    """The in-place form of :func:`unsqueeze`: ``self`` gets an axis of size 1.

    >>> import rushlight as torch
    >>> torch.ones(3).unsqueeze_(0).shape
    torch.Size([1, 3])
    """
    dim = normalize_dim(dim, self._value.meta.ndim + 1)
    return hooks.become(primitive.unsqueeze, self, (dim,))


@composite(samples=(S(t(2, 3)), S(t()), S(t(0))))
def numel(input: Any) -> int:
    """The number of elements.

    >>> import rushlight as torch
    >>> torch.numel(torch.ones(2, 3))
    6
    """
    return int(input._value.meta.numel)


@composite(samples=(S(t(2)), S(1.0)))
def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor.

    >>> import rushlight as torch
    >>> torch.is_tensor([1, 2])
    False
    """
    return isinstance(obj, TensorBase)
