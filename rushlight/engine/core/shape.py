"""Shapes and strides: sizes, broadcasting, contiguity and the rule that says when a view exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, SupportsIndex

Shape = tuple[int, ...]


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that prints as ``torch.Size([2, 3])``.

    >>> import rushlight as torch
    >>> torch.Size([2, 3]).numel()
    6
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return prod(self)

    def __getitem__(self, item: Any) -> Any:
        got = tuple.__getitem__(self, item)
        return Size(got) if isinstance(item, slice) else got

    def __add__(self, other: tuple[int, ...]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, tuple(other)))

    def __mul__(self, count: SupportsIndex) -> Size:
        return Size(tuple.__mul__(self, count))

    def __reduce__(self) -> tuple[type[Size], tuple[tuple[int, ...]]]:
        return Size, (tuple(self),)


#: The size of an axis, without the detour through ``Size``, which makes a Size of a slice.
length = tuple.__getitem__


def as_shape(sizes: tuple[Any, ...]) -> Shape:
    """Sizes given as ``f(2, 3)`` or ``f((2, 3))`` as one tuple of ints."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for size in sizes:
        if size.__class__ is not int:
            return tuple([int(s.__index__()) for s in sizes])
    return sizes


def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Row-major strides, in elements, the way PyTorch counts them (size 0 counts as 1)."""
    strides = [1] * len(shape)
    step = 1
    for axis in range(len(shape) - 1, -1, -1):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements lie in row-major order without gaps (axes of size 1 do not matter)."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != expected:
                return 0 in shape
            expected *= size
    return True


def is_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a 4-d or 5-d tensor lies in memory with its channels innermost."""
    if len(shape) not in (4, 5):
        return False
    order = [1, *range(len(shape) - 1, 1, -1), 0]
    smallest = 0
    if strides[1] == 0:
        return False
    for axis in order:
        if shape[axis] == 0 or strides[axis] < smallest:
            return False
        if axis == 0 and smallest == strides[1]:
            return False
        smallest = strides[axis] * max(shape[axis], 1)
    return True


def channels_last_strides(shape: Sequence[int]) -> Shape:
    """The strides of a 4-d or 5-d tensor with its channels innermost."""
    strides, step = [0] * len(shape), 1
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def broadcast_shapes(*shapes: Sequence[int]) -> Shape:
    """The common shape of ``shapes``; ``RuntimeError`` in PyTorch's words where there is none."""
    ndim = max((len(s) for s in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        offset = ndim - len(shape)
        for axis, size in enumerate(shape):
            have = result[offset + axis]
            if size == have or size == 1:
                continue
            if have != 1:
                raise RuntimeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({size}) "
                    f"at non-singleton dimension {offset + axis}"
                )
            result[offset + axis] = size
    return tuple(result)


def normalize_dim(dim: int, ndim: int) -> int:
    """``dim`` counted from the front; ``IndexError`` in PyTorch's words when out of range."""
    if not isinstance(dim, int):
        dim = int(dim.__index__())
    bound = ndim or 1
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], "
            f"but got {dim})"
        )
    return dim + bound if dim < 0 else dim


def normalize_dims(dims: int | Iterable[int] | None, ndim: int) -> Shape:
    """Dimensions as a tuple counted from the front; ``None`` or ``()`` means all of them."""
    if dims is None:
        return tuple(range(ndim))
    if isinstance(dims, int):
        return (normalize_dim(dims, ndim),) if ndim else ()
    listed = [normalize_dim(d, ndim) for d in dims]
    if not listed:
        return tuple(range(ndim))
    for d in listed:
        if listed.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(listed) if ndim else ()


def infer_size(shape: Sequence[int], numel: int) -> Shape:
    """``shape`` with its one ``-1`` filled in so that it has ``numel`` elements."""
    unknown = [axis for axis, size in enumerate(shape) if size == -1]
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    for place, size in enumerate(shape):
        if size < -1:
            raise RuntimeError(
                f"invalid shape dimension {size} at index {place} of shape {list(shape)}"
            )
    known = prod(size for size in shape if size != -1)
    if unknown and known == 0:
        raise RuntimeError(
            f"cannot reshape tensor of {numel} elements into shape {list(shape)} because the "
            "unspecified dimension size -1 can be any value and is ambiguous"
        )
    if (unknown and numel % known) or (not unknown and known != numel):
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    if not unknown:
        return tuple(shape)
    return tuple(numel // known if size == -1 else size for size in shape)


def view_strides(shape: Shape, strides: Shape, new_shape: Shape) -> Shape | None:
    """Strides of ``new_shape`` over the same memory, or ``None`` where only a copy can do it.

    Runs of old axes that lie next to each other in memory are joined to chunks; every chunk must
    be cut up exactly by a run of new axes.
    """
    if prod(shape) == 0:
        return strides if shape == new_shape else contiguous_strides(new_shape)
    if not shape:
        return (1,) * len(new_shape)
    new_strides = [0] * len(new_shape)
    view_axis = len(new_shape) - 1
    chunk_base = strides[-1]
    old_numel = view_numel = 1
    for axis in range(len(shape) - 1, -1, -1):
        old_numel *= shape[axis]
        ends_chunk = axis == 0 or (
            shape[axis - 1] != 1 and strides[axis - 1] != old_numel * chunk_base
        )
        if not ends_chunk:
            continue
        while view_axis >= 0 and (view_numel < old_numel or new_shape[view_axis] == 1):
            new_strides[view_axis] = view_numel * chunk_base
            view_numel *= new_shape[view_axis]
            view_axis -= 1
        if view_numel != old_numel:
            return None
        if axis > 0:
            chunk_base = strides[axis - 1]
            old_numel = view_numel = 1
    return tuple(new_strides) if view_axis == -1 else None


def pointwise_strides(
    shape: Shape, operands: Sequence[tuple[Shape, Shape]]
) -> Shape:
    """Strides of a pointwise result: the memory order of the first operand that decides an axis.

    ``operands`` are (shape, strides) pairs. The rule is TensorIterator's, see
    https://pytorch.org/docs/stable/tensor_view.html and aten/src/ATen/TensorIterator.cpp.
    """
    full = [(s, st) for s, st in operands if s == shape]
    if len(full) == len(operands):
        if all(is_contiguous(s, st) for s, st in full):
            return contiguous_strides(shape)
        first = full[0][1]
        if all(st == first for _, st in full) and is_dense(shape, first):
            return first
    ndim = len(shape)
    rows = []
    for operand_shape, operand_strides in operands:
        lead = ndim - len(operand_shape)
        rows.append(
            [0] * lead
            + [
                0 if size == 1 and shape[lead + axis] != 1 else stride
                for axis, (size, stride) in enumerate(
                    zip(operand_shape, operand_strides, strict=True)
                )
            ]
        )
    order = _memory_order(shape, rows)
    strides = [0] * ndim
    step = 1
    for axis in order:
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def is_dense(shape: Shape, strides: Shape) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in any order of axes."""
    expected = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size == 0:
            return True
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _memory_order(shape: Shape, rows: list[list[int]]) -> list[int]:
    """Axes from the innermost in memory outwards, ambiguous pairs left as they are."""

    def compare(inner: int, outer: int) -> int:
        for row in rows:
            s0, s1 = row[inner], row[outer]
            if s0 == 0 or s1 == 0:
                continue
            if s0 < s1:
                return -1
            if s0 > s1:
                return 1
            if shape[inner] > shape[outer]:
                return 1
        return 0

    order = list(range(len(shape) - 1, -1, -1))
    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            found = compare(order[j], order[at])
            if found > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif found < 0:
                break
    return order


def pair(value: int | Sequence[int], count: int, name: str = "value") -> Shape:
    """``value`` as a tuple of ``count`` ints: a single one stands for all."""
    if isinstance(value, int):
        return (value,) * count
    listed = tuple(int(v) for v in value)
    if len(listed) == 1:
        return listed * count
    if len(listed) != count:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match "
            f"the convolution dimensions, but got {name}={list(listed)}"
        )
    return listed
