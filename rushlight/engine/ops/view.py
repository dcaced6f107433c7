"""Views: operators that look at the same memory with another shape, and their inverse.

The kernel of a view must return a NumPy view, never a copy, when its input lies in memory as its
meta says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.core.shape import (
    Shape,
    contiguous_strides,
    infer_size,
    is_dense,
    length,
    view_strides,
)
from rushlight.engine.ir.buffers import copy_strided, settle, window
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import MAX_SPECS, OTHER, POINTWISE, VIEW, Op, Spec
from rushlight.engine.ops.bodies import converted, number
from rushlight.engine.ops.places import overlaps
from rushlight.engine.ops.view_elements import (
    embedded_part,
    replaced_part,
    same_number,
    same_place,
)

Array = np.ndarray


def _layout(meta: Meta, shape: Shape, strides: Shape) -> Meta:
    return strided_meta(tuple(shape), tuple(strides), meta.dtype, meta.device)


# view ------------------------------------------------------------------------------------------


def _view_infer(input: Meta, size: Shape) -> Meta:
    shape = infer_size(size, input.numel)
    strides = view_strides(tuple(input.shape), input.strides, shape)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return _layout(input, shape, strides)


def _view_kernel(spec: Spec, size: Shape) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)
    return lambda x: x.reshape(shape)


view = Op(
    "view(Tensor input, int[] size)",
    kind=VIEW,
    infer=_view_infer,
    kernel=_view_kernel,
    grad={"input": lambda g, input_meta: g.reshape(input_meta.shape)},
)

unsafe_view = Op(
    "unsafe_view(Tensor input, int[] size)",
    kind=OTHER,  # its input is a fresh copy that nobody else can write to
    infer=_view_infer,
    kernel=_view_kernel,
    element=same_number,
    grad={"input": lambda g, input_meta: g.reshape(input_meta.shape)},
)


# permutations of axes --------------------------------------------------------------------------


def _permute_infer(input: Meta, dims: Shape) -> Meta:
    return _layout(
        input, tuple(input.shape[d] for d in dims), tuple(input.strides[d] for d in dims)
    )


def _inverse(dims: Shape) -> Shape:
    inverse = [0] * len(dims)
    for place, dim in enumerate(dims):
        inverse[dim] = place
    return tuple(inverse)


permute: Op = Op(
    "permute(Tensor input, int[] dims)",
    kind=VIEW,
    infer=_permute_infer,
    kernel=lambda spec, dims: lambda x: x.transpose(dims),
    grad={"input": lambda g, dims: permute(g, dims=_inverse(dims))},
)


def _swap(ndim: int, dim0: int, dim1: int) -> Shape:
    if not ndim:
        return ()
    dims = list(range(ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return tuple(dims)


def _transpose_infer(input: Meta, dim0: int, dim1: int) -> Meta:
    return _permute_infer(input, _swap(input.ndim, dim0, dim1))


def _transpose_kernel(spec: Spec, dim0: int, dim1: int) -> Callable[[Array], Array]:
    dims = _swap(spec.out.ndim, dim0, dim1)
    return lambda x: x.transpose(dims)


transpose: Op = Op(
    "transpose(Tensor input, int dim0, int dim1)",
    kind=VIEW,
    infer=_transpose_infer,
    kernel=_transpose_kernel,
    grad={"input": lambda g, dim0, dim1: transpose(g, dim0=dim0, dim1=dim1)},
)

t: Op = Op(
    "t(Tensor input)",
    kind=VIEW,
    infer=lambda input: _permute_infer(input, tuple(range(input.ndim))[::-1]),
    kernel=lambda spec: lambda x: x.T,
    grad={"input": lambda g: t(g)},
)


# expand ----------------------------------------------------------------------------------------


def _expand_infer(input: Meta, size: Shape) -> Meta:
    lead = len(size) - input.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand(torch.{SCALAR_NAMES[input.dtype]}Tensor{{{list(input.shape)}}}, "
            f"size={list(size)}): the number of sizes provided ({len(size)}) must be greater or "
            f"equal to the number of dimensions in the tensor ({input.ndim})"
        )
    shape, strides = [], []
    for axis, wanted in enumerate(size):
        have = input.shape[axis - lead] if axis >= lead else None
        if wanted == -1:
            if have is None:
                raise RuntimeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {axis}"
                )
            wanted = have
        if have is not None and have != wanted and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({have}) "
                f"at non-singleton dimension {axis}.  Target sizes: {list(size)}.  "
                f"Tensor sizes: {list(input.shape)}"
            )
        shape.append(wanted)
        repeated = have is None or (have == 1 and wanted != 1)
        strides.append(0 if repeated else input.strides[axis - lead])
    return _layout(input, tuple(shape), tuple(strides))


def _expand_kernel(spec: Spec, size: Shape) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)

    def repeated(x: Array) -> Array:
        lead = len(shape) - x.ndim
        strides = [0] * lead + [
            0 if have == 1 and want != 1 else stride
            for have, want, stride in zip(x.shape, shape[lead:], x.strides, strict=True)
        ]
        if x.flags.c_contiguous:  # a tenth of the time of NumPy's function
            return np.ndarray(shape, x.dtype, x, 0, tuple(strides))
        return window(x, shape, strides)

    return repeated


def sum_to(g: Any, meta: Meta) -> Any:
    """Sum a gradient over the axes along which an input of this meta was repeated."""
    lead = g.dim() - meta.ndim
    dims = tuple(range(lead)) + tuple(
        lead + axis
        for axis, size in enumerate(meta.shape)
        if size == 1 and g.shape[lead + axis] != 1
    )
    if not dims:
        return g
    g = g.sum(dims, keepdim=True)
    return g.reshape(meta.shape) if lead else g


expand = Op(
    "expand(Tensor input, int[] size)",
    kind=VIEW,
    infer=_expand_infer,
    kernel=_expand_kernel,
    grad={"input": lambda g, input_meta: sum_to(g, input_meta)},
)


# select, slice ---------------------------------------------------------------------------------


def embed(g: Any, op: Op, whole: Meta, *attrs: Any) -> Any:
    """Zeros of the input's shape with ``g`` at the place the view looked at."""
    contiguous = whole.like()
    spec = op.specs.get(((contiguous,), attrs)) or op.specialize((contiguous,), attrs)
    return view_embed(g, whole=contiguous, chain=(spec,))


def _select_infer(input: Meta, dim: int, index: int) -> Meta:
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    if not -(size := length(input.shape, dim)) <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} "
            f"at dimension {dim}"
        )
    found = _rows.get((input, dim))
    if found is None:
        shape, strides = list(input.shape), list(input.strides)
        del shape[dim], strides[dim]
        if len(_rows) > MAX_SPECS:
            _rows.clear()
        found = _rows[input, dim] = _layout(input, tuple(shape), tuple(strides))
    return found


#: What is left of a layout without an axis: the same for every index.
_rows: dict[tuple[Meta, int], Meta] = {}


def _select_kernel(spec: Spec, dim: int, index: int) -> Callable[[Array], Array]:
    # the Ellipsis keeps a 0-d view an array
    where: tuple[Any, ...] = (*(slice(None),) * dim, index, ...)
    return lambda x: x[where]


select: Op = Op(
    "select(Tensor input, int dim, int index)",
    kind=VIEW,
    infer=_select_infer,
    kernel=_select_kernel,
    offset=lambda input, dim, index: input.strides[dim] * (index % max(input.shape[dim], 1)),
    grad={
        "input": lambda g, input_meta, dim, index: embed(g, select, input_meta, dim, index)
    },
)


def _slice_infer(input: Meta, dim: int, start: int, stop: int, step: int) -> Meta:
    if input.ndim == 0:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    shape, strides = list(input.shape), list(input.strides)
    shape[dim] = max(0, -((start - stop) // step))
    strides[dim] *= step
    return _layout(input, tuple(shape), tuple(strides))


def _slice_kernel(
    spec: Spec, dim: int, start: int, stop: int, step: int
) -> Callable[[Array], Array]:
    where = (slice(None),) * dim + (slice(start, stop, step),)
    return lambda x: x[where]


slice_: Op = Op(
    "slice(Tensor input, int dim, int start, int stop, int step)",
    kind=VIEW,
    infer=_slice_infer,
    kernel=_slice_kernel,
    offset=lambda input, dim, start, stop, step: input.strides[dim] * start,
    grad={
        "input": lambda g, input_meta, dim, start, stop, step: embed(
            g, slice_, input_meta, dim, start, stop, step
        )
    },
)


# squeeze, unsqueeze ----------------------------------------------------------------------------


def _squeeze_infer(input: Meta, dims: Shape) -> Meta:
    kept = [a for a in range(input.ndim) if a not in dims or input.shape[a] != 1]
    return _layout(
        input, tuple(input.shape[a] for a in kept), tuple(input.strides[a] for a in kept)
    )


def _axes_kernel(spec: Spec, dims: Shape) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    where = tuple(
        [0 if a in dims and source.shape[a] == 1 else slice(None) for a in range(source.ndim)]
    )
    return lambda x: x[(*where, ...)]


def _squeeze_op(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, int[] dims)",
        kind=VIEW,
        infer=_squeeze_infer,
        kernel=_axes_kernel,
        grad={"input": lambda g, input_meta: g.reshape(input_meta.shape)},
        grad_name=grad_name,
    )


# PyTorch tells by the name of grad_fn how the axes were given: all, one, or several
squeeze_all = _squeeze_op("squeeze_all", "SqueezeBackward0")
squeeze = _squeeze_op("squeeze", "SqueezeBackward1")
squeeze_several = _squeeze_op("squeeze_several", "SqueezeBackward2")


def _unsqueeze_infer(input: Meta, dim: int) -> Meta:
    shape, strides = list(input.shape), list(input.strides)
    stride = shape[dim] * strides[dim] if dim < input.ndim else 1
    shape.insert(dim, 1)
    strides.insert(dim, stride)
    return _layout(input, tuple(shape), tuple(strides))


unsqueeze = Op(
    "unsqueeze(Tensor input, int dim)",
    kind=VIEW,
    infer=_unsqueeze_infer,
    kernel=lambda spec, dim: lambda x: x[(slice(None),) * dim + (None, ...)],
    grad={"input": lambda g, dim: squeeze(g, dims=(dim,))},
)


# writing through a view ------------------------------------------------------------------------


def _scatter_kernel(spec: Spec, chain: tuple[Spec, ...]) -> Any:
    meta = spec.out
    plain = spec.inputs[1] is not None and spec.inputs[1].weak  # a Python number

    def scatter(base: Array, source: Array) -> Array:
        return into(copy_strided(base, meta), source)

    def into(base: Array, source: Array) -> Array:
        part = base = settle(base, meta)  # views exist only where memory lies as the meta says
        for step in chain:
            part = step.kernel(part)
        # a negative number wraps around in an unsigned type, which NumPy refuses to do by itself
        part[...] = np.asarray(source).astype(part.dtype) if plain else source
        return base

    scatter.into = into  # type: ignore[attr-defined]
    return scatter


def _laid_out(g: Any, chain: tuple[Spec, ...]) -> Any:
    """A gradient that lies in memory like the whole: views of it exist only then."""
    whole = chain[0].inputs[0]
    assert whole is not None
    if g._value.meta.strides == whole.strides:
        return g
    return as_layout(g, strides=whole.strides)


def _part_of(g: Any, chain: tuple[Spec, ...]) -> Any:
    g = _laid_out(g, chain)
    for step in chain:
        g = step.op(g, **dict(zip(step.op.attr_names, step.attrs, strict=True)))
    return g


def _embed_kernel(spec: Spec, whole: Meta, chain: tuple[Spec, ...]) -> Callable[[Array], Array]:
    if overlaps(tuple(chain[-1].out.shape), chain[-1].out.strides):
        places = np.arange(whole.numel).reshape(whole.shape)
        for step in chain:
            places = step.kernel(places)
        where = np.ascontiguousarray(places).reshape(-1)

        def add_up(source: Array) -> Array:
            made = np.zeros(whole.numel, numpy_sum(source.dtype))
            np.add.at(made, where, source.reshape(-1))
            return made.reshape(whole.shape).astype(source.dtype, copy=False)

        return add_up

    def embed(source: Array) -> Array:
        made = np.zeros(whole.shape, source.dtype)
        part = made
        for step in chain:
            part = step.kernel(part)
        part[...] = source
        return made

    return embed


def scattering(name: str, grad_name: str) -> Op:
    """An operator for a copy of its input with the part a chain of views leads to replaced."""
    return Op(
        f"{name}(Tensor input, Tensor source, View[] chain)",
        kind=OTHER,
        infer=lambda input, source, chain: input,
        kernel=_scatter_kernel,
        element=replaced_part,
        grad={
            "input": lambda g, chain: view_scatter(_laid_out(g, chain), 0.0, chain=chain),
            "source": lambda g, chain: _part_of(g, chain),
        },
        grad_name=grad_name,
    )


view_scatter = scattering("view_scatter", "CopySlices")

view_embed = Op(
    "view_embed(Tensor input, Meta whole, View[] chain)",
    kind=OTHER,
    infer=lambda input, whole, chain: whole.with_dtype(input.dtype),
    kernel=_embed_kernel,
    element=embedded_part,
    grad={"input": lambda g, chain: _part_of(g, chain)},
)

as_layout = Op(
    "as_layout(Tensor input, int[] strides)",
    kind=OTHER,
    infer=lambda input, strides: _layout(input, tuple(input.shape), strides),
    kernel=lambda spec, strides: lambda x: copy_strided(x, spec.out),
    element=same_place,
    grad={"input": lambda g: g},
    grad_name="Clone",
)


def numpy_sum(found: np.dtype) -> np.dtype:
    """The NumPy type in which many elements of a type are added up."""
    return np.dtype(np.float32) if found.itemsize < 4 and found.kind in "fV" else found


# conversion and constants ----------------------------------------------------------------------


def _cast_kernel(spec: Spec, dtype: dtype) -> Callable[[Array], Array]:
    target = dtype.numpy
    source = spec.inputs[0]
    assert source is not None
    if source.dtype.is_complex and not dtype.is_complex and dtype.name != "bool":
        return lambda x: np.asarray(x).real.astype(target)
    if source.dtype.is_floating_point and target.kind in "iu" and target.itemsize < 8:
        # out-of-range numbers wrap through int64, as PyTorch's conversion does on x86
        return lambda x: np.asarray(x).astype(np.int64).astype(target)
    return lambda x: np.asarray(x).astype(target)


to_dtype: Op = Op(
    "to_dtype(Tensor input, dtype dtype)",
    kind=POINTWISE,
    infer=lambda input, dtype: strided_meta(
        tuple(input.shape),
        input.strides if is_dense(input.shape, input.strides) else contiguous_strides(input.shape),
        dtype,
        input.device,
    ),
    kernel=_cast_kernel,
    scalar=converted,
    grad={"input": lambda g, input_meta: to_dtype(g, dtype=input_meta.dtype)},
    grad_name="ToCopy",
)


def _zeros_infer(shape: Shape, dtype: dtype) -> Meta:
    return strided_meta(shape, contiguous_strides(shape), dtype)


zeros: Op = Op(
    "zeros_(int[] shape, dtype dtype)",
    kind=POINTWISE,
    infer=_zeros_infer,
    kernel=lambda spec, shape, dtype: lambda: np.zeros(shape, dtype.numpy),
    scalar=number(0),
)

ones = Op(
    "ones_(int[] shape, dtype dtype)",
    kind=POINTWISE,
    infer=_zeros_infer,
    kernel=lambda spec, shape, dtype: lambda: np.ones(shape, dtype.numpy),
    scalar=number(1),
)
