"""Functions that reorder, repeat or pick axes: transpose, permute, expand, select, narrow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import OTHER, Op, composite, hooks
from rushlight.engine.ir.samples import S, t, tc
from rushlight.engine.ops import view as primitive
from rushlight.engine.ops.view_elements import narrowed
from rushlight.engine.ops.view_functions import sizes_of


def _transpose(input: Any, dim0: int, dim1: int) -> Any:
    ndim = input._value.meta.ndim
    dims = normalize_dim(dim0, ndim), normalize_dim(dim1, ndim)
    return hooks.record(primitive.transpose, (input,), dims)


_TRANSPOSE = (S(t(2, 3), 0, 1), S(t(2, 3, 4), 1, -1), S(t(2, 3, 4), 0, 2), S(t(2, 3), 1, 1))


@composite(method=True, samples=_TRANSPOSE)
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """``input`` with two axes swapped, as a view.

    See https://pytorch.org/docs/stable/generated/torch.transpose.html.

    >>> import rushlight as torch
    >>> torch.transpose(torch.ones(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    return _transpose(input, dim0, dim1)


@composite(method=True, samples=_TRANSPOSE)
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Another name of :func:`transpose`.

    >>> import rushlight as torch
    >>> torch.swapaxes(torch.ones(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    return _transpose(input, axis0, axis1)


@composite(method=True, samples=_TRANSPOSE)
def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """Another name of :func:`transpose`.

    >>> import rushlight as torch
    >>> torch.swapdims(torch.ones(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    return _transpose(input, dim0, dim1)


@composite(method=True, name="t", samples=(S(t(2, 3)), S(t(3)), S(t())))
def transposed(input: Any) -> Any:
    """A matrix with its rows as columns; a vector or a 0-d tensor as it is.

    See https://pytorch.org/docs/stable/generated/torch.t.html.

    >>> import rushlight as torch
    >>> torch.t(torch.ones(2, 3)).shape
    torch.Size([3, 2])
    """
    ndim = input._value.meta.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    return hooks.record(primitive.t, (input,), ())


@composite(namespaces=(), method=True, samples=(S(t(2, 3)), S(t(3))))
def t_(self: Any) -> Any:
    """The in-place form of :func:`t`: ``self`` becomes its transpose.

    >>> import rushlight as torch
    >>> torch.ones(2, 3).t_().shape
    torch.Size([3, 2])
    """
    if self.ndim > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return hooks.become(primitive.t, self, ())


def _transpose_in_place(self: Any, dim0: int, dim1: int) -> Any:
    """``self`` with two axes swapped, in place."""
    dims = normalize_dim(dim0, self.ndim), normalize_dim(dim1, self.ndim)
    return hooks.become(primitive.transpose, self, dims)


for _name in ("transpose_", "swapaxes_", "swapdims_"):
    composite(name=_name, namespaces=(), method=True, samples=(S(t(2, 3, 4), 0, -1),))(
        _transpose_in_place
    )


@composite(
    name="reversed_axes", namespaces=(), method="_reversed_axes", samples=(S(t(2, 3)),)
)
def reversed_axes(self: Any) -> Any:
    """The property ``T``: all axes in reverse order.

    >>> import rushlight as torch
    >>> torch.ones(2, 3).T.shape
    torch.Size([3, 2])
    """
    return hooks.record(primitive.permute, (self,), (tuple(range(self.ndim))[::-1],))


def _warn_scalar(name: str, advice: str) -> None:
    warnings.warn(
        f"Tensor.{name} is deprecated on 0-D tensors. {advice}", UserWarning, stacklevel=3
    )


@composite(
    name="matrix_transpose", namespaces=(), method="_matrix_transpose", samples=(S(t(4, 2, 3)),)
)
def matrix_transpose(self: Any) -> Any:
    """The property ``mT``: the last two axes swapped.

    >>> import rushlight as torch
    >>> torch.ones(4, 2, 3).mT.shape
    torch.Size([4, 3, 2])
    """
    if self.ndim == 0:
        _warn_scalar("mT", "This function is the identity in these cases.")
        return self
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return _transpose(self, -2, -1)


@composite(method=True, samples=(S(t(2, 3)), S(t(2, 3, 4))))
def adjoint(input: Any) -> Any:
    """The last two axes swapped and every element conjugated.

    >>> import rushlight as torch
    >>> torch.adjoint(torch.tensor([[1 + 2j]]))
    tensor([[1.-2.j]])
    """
    if input.ndim == 0:
        return input.conj()
    if input.ndim < 2:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got "
            f"{input.ndim}-D tensor."
        )
    swapped = _transpose(input, -2, -1)
    return swapped.conj() if input.is_complex() else swapped


@composite(
    name="conjugate_matrix", namespaces=(), method="_conjugate_matrix",
    samples=(S(t(4, 2, 3)), S(tc(2, 3))),
)  # fmt: skip
def conjugate_matrix(self: Any) -> Any:
    """The property ``mH``: like ``mT`` with every element conjugated.

    >>> import rushlight as torch
    >>> torch.tensor([[1 + 2j]]).mH
    tensor([[1.-2.j]])
    """
    if self.ndim == 0:
        _warn_scalar("mH", "Consider using x.conj().")
        return self.conj()
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return adjoint(self)


@composite(
    name="hermitian", namespaces=(), method="_hermitian", samples=(S(t(2, 3)), S(tc(2, 3)))
)
def hermitian(self: Any) -> Any:
    """The property ``H``: a matrix transposed and conjugated.

    >>> import rushlight as torch
    >>> torch.tensor([[1 + 2j]]).H
    tensor([[1.-2.j]])
    """
    if self.ndim not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if self.ndim > 2 else "")
        )
    return adjoint(self) if self.ndim else self.conj()


def _permute(input: Any, dims: tuple[Any, ...]) -> Any:
    listed = sizes_of(dims, "permute", "dims")
    ndim = input._value.meta.ndim
    if len(listed) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal "
            f"to len(dims) = {len(listed)}"
        )
    order = tuple([normalize_dim(dim, ndim) for dim in listed])
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return hooks.record(primitive.permute, (input,), (order,))


@composite(samples=(S(t(2, 3, 4), (2, 0, 1)), S(t(2, 3), (-1, 0)), S(t(), ())))
def permute(input: Any, dims: Sequence[int]) -> Any:
    """``input`` with its axes in this order, as a view.

    See https://pytorch.org/docs/stable/generated/torch.permute.html.

    >>> import rushlight as torch
    >>> torch.permute(torch.ones(2, 3, 4), (2, 0, 1)).shape
    torch.Size([4, 2, 3])
    """
    return _permute(input, (dims,))


@composite(name="permute_method", namespaces=(), method="permute",
           samples=(S(t(2, 3, 4), 2, 0, 1), S(t(2, 3), (-1, 0))))  # fmt: skip
def _permute_method(self: Any, *order: Any, dims: Any = None) -> Any:
    """``self`` with its axes in this order, as a view.

    >>> import rushlight as torch
    >>> torch.ones(2, 3, 4).permute(2, 0, 1).shape
    torch.Size([4, 2, 3])
    """
    if not order:
        if dims is None:
            raise TypeError('permute() missing 1 required positional arguments: "dims"')
        order = (dims,)
    return _permute(self, order)


def _listed(dims: Any, ndim: int, name: str, role: str) -> list[int]:
    given = [dims] if isinstance(dims, int) else list(dims)
    found = [normalize_dim(dim, ndim) for dim in given]
    if len(set(found)) != len(found):
        raise RuntimeError(f"{name}: repeated dim in `{role}` ({given})")
    return found


def _movedim(input: Any, source: Any, destination: Any, name: str) -> Any:
    ndim = input.ndim
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"{name}: Invalid source or destination dims: source ({sources} dims) should contain "
            f"the same number of dims as destination ({targets} dims)"
        )
    from_ = _listed(sources, ndim, name, "source")
    to = _listed(targets, ndim, name, "destination")
    rest = iter([axis for axis in range(ndim) if axis not in from_])
    moved = dict(zip(to, from_, strict=True))
    order = tuple(moved[axis] if axis in moved else next(rest) for axis in range(ndim))
    return hooks.record(primitive.permute, (input,), (order,))


_MOVEDIM = (S(t(2, 3, 4), 0, 2), S(t(2, 3, 4), (0, 1), (1, 2)), S(t(2, 3, 4), -1, 0))


@composite(method=True, samples=_MOVEDIM)
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest kept in order, as a view.

    See https://pytorch.org/docs/stable/generated/torch.movedim.html.

    >>> import rushlight as torch
    >>> torch.movedim(torch.ones(2, 3, 4), 0, 2).shape
    torch.Size([3, 4, 2])
    """
    return _movedim(input, source, destination, "movedim")


@composite(method=True, samples=_MOVEDIM)
def moveaxis(input: Any, source: Any, destination: Any) -> Any:
    """Another name of :func:`movedim`.

    >>> import rushlight as torch
    >>> torch.moveaxis(torch.ones(2, 3, 4), 0, 2).shape
    torch.Size([3, 4, 2])
    """
    return _movedim(input, source, destination, "movedim")


@composite(namespaces=(), method=True,
           samples=(S(t(3, 1), 3, 4), S(t(3, 1), -1, 4), S(t(3), (2, 3)), S(t(), 2)))  # fmt: skip
def expand(self: Any, *sizes: Any, size: Any = None, implicit: bool = False) -> Any:
    """``self`` repeated along axes of size 1 without a copy; -1 leaves an axis as it is.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.expand.html.

    >>> import rushlight as torch
    >>> torch.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    wanted = sizes_of(sizes if size is None else (size,), "expand", "size")
    return hooks.record(primitive.expand, (self,), (wanted,))


@composite(namespaces=(), method=True, samples=(S(t(3, 1), t(3, 4)),))
def expand_as(self: Any, other: Any) -> Any:
    """``self`` expanded to the shape of ``other``.

    >>> import rushlight as torch
    >>> torch.ones(1).expand_as(torch.ones(3)).shape
    torch.Size([3])
    """
    if not isinstance(other, TensorBase):
        raise TypeError(
            f"expand_as(): argument 'other' (position 1) must be Tensor, not "
            f"{type(other).__name__}"
        )
    return hooks.record(primitive.expand, (self,), (tuple(other._value.meta.shape),))


@composite(samples=(S(t(3, 1), (3, 4)), S(t(3), (2, 3))))
def broadcast_to(input: Any, size: Any) -> Any:
    """``input`` expanded to this shape.

    >>> import rushlight as torch
    >>> torch.broadcast_to(torch.ones(1), (3,)).shape
    torch.Size([3])
    """
    return hooks.record(primitive.expand, (input,), (sizes_of((size,), "broadcast_to", "size"),))


@composite(name="broadcast_to_method", namespaces=(), method="broadcast_to",
           samples=(S(t(3, 1), (3, 4)), S(t(3, 1), size=(3, 4))))  # fmt: skip
def _broadcast_to_method(self: Any, *sizes: Any, size: Any = None) -> Any:
    """``self`` expanded to this shape.

    >>> import rushlight as torch
    >>> torch.ones(1).broadcast_to((3,)).shape
    torch.Size([3])
    """
    wanted = sizes_of(sizes if size is None else (size,), "broadcast_to", "size")
    return hooks.record(primitive.expand, (self,), (wanted,))


@composite(method=True, samples=(S(t(3, 4), 0, 1), S(t(3, 4), 1, -1), S(t(3), 0, 2)))
def select(input: Any, dim: int, index: Any) -> Any:
    """The part of ``input`` at ``index`` along ``dim``, without that axis, as a view.

    See https://pytorch.org/docs/stable/generated/torch.select.html.

    >>> import rushlight as torch
    >>> torch.select(torch.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = normalize_dim(dim, input.ndim)
    return hooks.record(primitive.select, (input,), (dim, int(index)))


def _narrow(input: Any, dim: int, start: Any, length: int) -> tuple[int, int, int, int]:
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    dim = normalize_dim(dim, input.ndim)
    size, start = input.shape[dim], int(start)
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({size})."
        )
    return dim, start, start + length, 1


_NARROW = (S(t(3, 4), 0, 1, 2), S(t(3, 4), 1, -2, 1), S(t(3), 0, 3, 0))


@composite(method=True, samples=_NARROW)
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """``length`` elements of ``input`` along ``dim``, from ``start`` on, as a view.

    See https://pytorch.org/docs/stable/generated/torch.narrow.html.

    >>> import rushlight as torch
    >>> torch.narrow(torch.arange(5), 0, 1, 2)
    tensor([1, 2])
    """
    return hooks.record(primitive.slice_, (input,), _narrow(input, dim, start, length))


def _narrow_copy_infer(input: Meta, *attrs: Any) -> Meta:
    part = primitive.slice_.infer(input, *attrs)
    assert isinstance(part, Meta)
    return part.like()


narrow_copy_op = Op(
    "narrow_copy(Tensor input, int dim, int start, int stop, int step)",
    kind=OTHER,
    infer=_narrow_copy_infer,
    kernel=lambda spec, dim, start, stop, step: lambda x: np.ascontiguousarray(
        x[(slice(None),) * dim + (slice(start, stop),)]
    ),
    element=narrowed,
    grad={
        "input": lambda g, input_meta, dim, start, stop, step: primitive.embed(
            g, primitive.slice_, input_meta, dim, start, stop, step
        )
    },
)


@composite(method=True, samples=_NARROW)
def narrow_copy(input: Any, dim: int, start: int, length: int) -> Any:
    """Like :func:`narrow`, but a copy.

    >>> import rushlight as torch
    >>> torch.narrow_copy(torch.arange(5), 0, 1, 2)
    tensor([1, 2])
    """
    return hooks.record(narrow_copy_op, (input,), _narrow(input, dim, start, length))
