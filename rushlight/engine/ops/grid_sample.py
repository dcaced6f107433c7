"""Sampling images at given places, and the places an affine map asks for.

See Jaderberg et al., 2015, https://arxiv.org/abs/1506.02025.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, OTHER, Op, Spec, composite
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.resample import cubic

Array = np.ndarray


class Sampler:
    """Where every sampled place lies among the elements of an image.

    Args:
        size: the spatial size of the image.
        mode: ``"bilinear"``, ``"nearest"`` or ``"bicubic"``.
        padding: ``"zeros"``, ``"border"`` or ``"reflection"``, for places outside.
        align: whether -1 and 1 are the middles of the outermost elements, or their outer edges.
    """

    def __init__(self, size: Shape, mode: str, padding: str, align: bool) -> None:
        self.size = size
        self.mode = mode
        self.padding = padding
        self.align = align
        self.steps = contiguous_strides(size)

    def places(self, grid: Array) -> list[tuple[Array, Array]]:
        """For every axis the places (N, P) counted in elements, and what a step of the grid is."""
        found = []
        for axis, n in enumerate(self.size):
            x = grid[..., len(self.size) - 1 - axis].reshape(grid.shape[0], -1)
            if self.align:
                x, slope = (x + 1) / 2 * (n - 1), (n - 1) / 2
            else:
                x, slope = ((x + 1) * n - 1) / 2, n / 2
            slopes = np.full(x.shape, slope, x.dtype)
            found.append((x, slopes) if self.mode == "bicubic" else self.inside(x, slopes, n))
        return found

    def inside(self, x: Array, slope: Array, n: int) -> tuple[Array, Array]:
        """Places brought into the image as the padding asks for."""
        if self.padding == "reflection":
            low, high = (0, 2 * (n - 1)) if self.align else (-1, 2 * n - 1)
            x, sign = _reflected(x, low / 2, high / 2)
            slope = slope * sign
        if self.padding != "zeros":
            slope = np.where((x <= 0) | (x >= n - 1), slope.dtype.type(0), slope)
            x = np.clip(x, 0, n - 1)
        return x, slope

    def taps(self, x: Array, n: int) -> list[tuple[Array, Array, Array, Array]]:
        """Neighbours of places along one axis: number, whether there, weight, weight's slope."""
        if self.mode == "nearest":
            number = np.rint(x).astype(np.int64)
            one = np.ones(x.shape, x.dtype)
            return [self._tap(number, one, np.zeros_like(one), n)]
        first = np.floor(x)
        part = x - first
        number = first.astype(np.int64)
        if self.mode == "bilinear":
            one = np.ones(x.shape, x.dtype)
            return [self._tap(number, 1 - part, -one, n), self._tap(number + 1, part, one, n)]
        return [
            self._tap(number + k, cubic(part - k), _cubic_slope(part - k), n) for k in range(-1, 3)
        ]

    def _tap(self, number: Array, weight: Array, slope: Array, n: int) -> Any:
        if self.mode == "bicubic" and self.padding != "zeros":
            # every neighbour on its own is brought into the image
            place = number.astype(weight.dtype)
            number = np.rint(self.inside(place, np.ones_like(place), n)[0]).astype(np.int64)
        there = (number >= 0) & (number < n)
        return np.where(there, number, 0), there, weight.astype(slope.dtype), slope

    def corners(
        self, grid: Array
    ) -> tuple[Iterator[tuple[Array, Array, list[Array]]], list[Array]]:
        """Every combination of neighbours: flat place, weight, the weight's slope by each axis."""
        found = self.places(grid)
        taps = [self.taps(x, n) for (x, _), n in zip(found, self.size, strict=True)]

        def combine() -> Iterator[tuple[Array, Array, list[Array]]]:
            for chosen in product(*taps):
                flat: Any = 0
                there: Any = True
                for (number, seen, _, _), step in zip(chosen, self.steps, strict=True):
                    flat, there = flat + number * step, there & seen
                weights = [tap[2] for tap in chosen]
                slopes = []
                for axis in range(len(chosen)):
                    others = [w for i, w in enumerate(weights) if i != axis]
                    slopes.append(_times([chosen[axis][3], *others]) * there)
                yield flat, _times(weights) * there, slopes

        return combine(), [slope for _, slope in found]


def _times(parts: list[Array]) -> Array:
    made = parts[0]
    for part in parts[1:]:
        made = made * part
    return made


def _reflected(x: Array, low: float, high: float) -> tuple[Array, Array]:
    """Places thrown back at both ends, and whether that turned them round."""
    span = high - low
    if span == 0:
        return np.zeros_like(x), np.zeros_like(x)
    sign = np.where(x < low, -1, 1).astype(x.dtype)
    distance = np.abs(x - x.dtype.type(low))
    rest, turns = np.fmod(distance, x.dtype.type(span)), np.floor(distance / x.dtype.type(span))
    even = turns % 2 == 0
    place = np.where(even, rest + x.dtype.type(low), x.dtype.type(high) - rest)
    return place, np.where(even, sign, -sign)


def _cubic_slope(x: Array, a: float = -0.75) -> Array:
    """The derivative of ``cubic``."""
    size = np.abs(x)
    near = (3 * (a + 2) * size - 2 * (a + 3)) * size
    far = (3 * a * size - 10 * a) * size + 8 * a
    return np.where(size <= 1, near, np.where(size < 2, far, 0)) * np.sign(x)


def _infer(input: Meta, grid: Meta, mode: str, padding: str, align: bool) -> Meta:
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            f"expected scalar type {SCALAR_NAMES[input.dtype]} but found "
            f"{SCALAR_NAMES[grid.dtype]}"
        )
    nd = input.ndim - 2
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"grid_sampler_{nd}d_cpu_kernel_impl\" not implemented for "
            f"'{SCALAR_NAMES[input.dtype]}'"
        )
    return make_meta((*input.shape[:2], *grid.shape[1:-1]), input.dtype)


def _kernel(spec: Spec, mode: str, padding: str, align: bool) -> Callable[[Array, Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    out, found = tuple(spec.out.shape), spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    sampler = Sampler(tuple(source.shape[2:]), mode, padding, align)

    def call(x: Array, grid: Array) -> Array:
        made = np.zeros((*out[:2], prod(out[2:])), compute)
        if made.size:
            flat = x.reshape(*out[:2], -1).astype(compute, copy=False)
            for place, weight, _ in sampler.corners(grid.astype(compute, copy=False))[0]:
                made += np.take_along_axis(flat, place[:, None], 2) * weight[:, None]
        return made.reshape(out).astype(found, copy=False)

    return call


def _grad_kernel(
    spec: Spec, mode: str, padding: str, align: bool
) -> Callable[..., tuple[Array, Array]]:
    shape, found = tuple(spec.outs[0].shape), spec.out.dtype.numpy
    grid_shape = tuple(spec.outs[1].shape)
    compute = numpy_compute(spec.out.dtype)
    sampler = Sampler(shape[2:], mode, padding, align)
    rows, size, nd = prod(shape[:2]), prod(shape[2:]), len(shape) - 2

    def call(g: Array, x: Array, grid: Array) -> tuple[Array, Array]:
        if not g.size:
            return np.zeros(shape, found), np.zeros(grid_shape, found)
        g = g.reshape(*shape[:2], -1).astype(compute, copy=False)
        flat = x.reshape(*shape[:2], -1).astype(compute, copy=False)
        offsets = (np.arange(rows) * size).reshape(*shape[:2], 1)
        image = np.zeros(rows * size)
        corners, steps = sampler.corners(grid.astype(compute, copy=False))
        by_axis = [np.zeros((shape[0], g.shape[2]), compute) for _ in range(nd)]
        for place, weight, slopes in corners:
            where = (place[:, None] + offsets).ravel()
            share = (g * weight[:, None]).ravel()
            image += np.bincount(where, weights=share, minlength=rows * size)
            seen = (np.take_along_axis(flat, place[:, None], 2) * g).sum(1)
            for axis in range(nd):
                by_axis[axis] += seen * slopes[axis]
        places = np.stack([by_axis[axis] * steps[axis] for axis in reversed(range(nd))], -1)
        return image.reshape(shape).astype(found), places.reshape(grid_shape).astype(found)

    return call


def _sampler(nd: int) -> Op:
    """The record of sampling with ``nd`` spatial axes; its gradient has none, as in PyTorch."""
    backward = Op(
        f"grid_sampler_{nd}d_backward(Tensor g_out, Tensor input, Tensor grid, str mode, "
        "str padding, bool align)",
        kind=OTHER,
        infer=lambda g_out, input, grid, mode, padding, align: (
            make_meta(tuple(input.shape), input.dtype),
            make_meta(tuple(grid.shape), grid.dtype),
        ),
        kernel=_grad_kernel,
    )
    return Op(
        f"grid_sampler_{nd}d(Tensor input, Tensor grid, str mode, str padding, bool align)",
        kind=GATHER,
        infer=_infer,
        kernel=_kernel,
        grad={
            "input, grid": lambda g, input, grid, mode, padding, align: backward(
                g, input, grid, mode=mode, padding=padding, align=align
            )
        },
        grad_name=f"GridSampler{nd}D",
    )


_SAMPLERS = {nd: _sampler(nd) for nd in (2, 3)}


def _check(input: Any, grid: Any, mode: str) -> None:
    """PyTorch's errors for images and grids that do not go together."""
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != input.dim() - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, but "
            f"got grid with sizes {list(grid.shape)}"
        )
    for axis in range(2, input.dim()):
        if input.shape[axis] == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(input.shape)} with dimension {axis} being empty"
            )
    if input.dim() not in (4, 5) or input.dim() != grid.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if mode == "bicubic" and input.dim() == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


_IMAGE, _GRID = t(1, 2, 4, 5), t(1, 3, 3, 2, low=-1.3, high=1.3)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(_IMAGE, _GRID, align_corners=False, twice=False, tolerance=2),
        S(_IMAGE, _GRID, "bilinear", "border", True, twice=False),
        S(_IMAGE, _GRID, "nearest", "zeros", False, twice=False),
        S(_IMAGE, _GRID, "bicubic", "zeros", False, twice=False),
        S(_IMAGE, _GRID, "bicubic", "reflection", True, twice=False),
        S(_IMAGE, _GRID, "bilinear", "reflection", False, twice=False),
        S(t(1, 2, 3, 4, 5), t(1, 2, 3, 2, 3, low=-1.2, high=1.2), align_corners=True, twice=False),
        S(t(1, 2, 3, 4, 5), t(1, 2, 3, 2, 3), "nearest", "border", False, twice=False),
    ),
    errors=(
        ErrorSample(S(_IMAGE, _GRID, "cubic"), ValueError, "expected mode to be 'bilinear'"),
        ErrorSample(S(_IMAGE, _GRID, "nearest", "wrap"), ValueError, "expected padding_mode to be"),
        ErrorSample(S(_IMAGE, t(2, 3, 3, 2)), RuntimeError, "to have same batch size"),
        ErrorSample(S(_IMAGE, t(1, 3, 3, 3)), RuntimeError, "to have size 2 in last dimension"),
    ),
)
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:  # fmt: skip
    """Images sampled at the places a grid gives.

    Args:
        input: images (N, C, H, W) or volumes (N, C, D, H, W).
        grid: places (x, y) or (x, y, z) between -1 and 1, (N, h, w, 2) or (N, d, h, w, 3).
        mode: ``"bilinear"``, ``"nearest"`` or ``"bicubic"``.
        padding_mode: what lies outside: ``"zeros"``, ``"border"`` or ``"reflection"``.
        align_corners: whether -1 and 1 are the middles of the outermost elements.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html.

    >>> import rushlight as torch
    >>> x, middle = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 1, 1, 2)
    >>> torch.nn.functional.grid_sample(x, middle, align_corners=True)
    tensor([[[[2.]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        _warn_default()
    _check(input, grid, mode)
    return _SAMPLERS[input.dim() - 2](
        input, grid, mode=mode, padding=padding_mode, align=bool(align_corners)
    )


def _warn_default() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
        "documentation of grid_sample for details.",
        UserWarning,
        stacklevel=3,
    )


# affine grids ----------------------------------------------------------------------------------


def _base(size: Shape, align: bool, found: np.dtype) -> Array:
    """The places of all elements, with a 1 behind them, (P, nd + 1)."""
    lines = []
    for n in size:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        lines.append(line if align or n < 2 else line * ((n - 1) / n))
    mesh = np.meshgrid(*lines, indexing="ij")
    parts = [*reversed(mesh), np.ones(size)]
    return np.stack([part.reshape(-1) for part in parts], -1).astype(found)


def _affine_kernel(spec: Spec, size: Shape, align: bool) -> Callable[[Array], Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    base, out = _base(size[2:], align, compute), tuple(spec.out.shape)

    def call(theta: Array) -> Array:
        made = base @ theta.astype(compute, copy=False).swapaxes(1, 2)
        return made.reshape(out).astype(found, copy=False)

    return call


def _affine_grad_kernel(spec: Spec, size: Shape, align: bool) -> Callable[[Array], Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    base, nd = _base(size[2:], align, compute), len(size) - 2

    def call(g: Array) -> Array:
        rows = g.reshape(g.shape[0], -1, nd).astype(compute, copy=False)
        return (rows.swapaxes(1, 2) @ base).astype(found, copy=False)

    return call


def _affine_infer(theta: Meta, size: Shape, align: bool) -> Meta:
    nd = len(size) - 2
    if theta.ndim != 3 or (theta.shape[0], theta.shape[2]) != (size[0], nd + 1):
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{size[0]}, {nd + 1}] but got: {[theta.shape[0], theta.shape[-1]]}."
        )
    if theta.shape[1] != nd:
        shape = [size[0], *size[2:], nd]
        raise RuntimeError(f"shape '{shape}' is invalid for matrices of size {list(theta.shape)}")
    return make_meta((*size[:1], *size[2:], nd), theta.dtype)


affine_grid_op = Op(
    "affine_grid_generator(Tensor theta, int[] size, bool align)",
    kind=OTHER,
    infer=_affine_infer,
    kernel=_affine_kernel,
    grad={"theta": lambda g, size, align: affine_grid_grad(g, size=size, align=align)},
    grad_name="AffineGridGenerator",
)

affine_grid_grad: Op = Op(
    "affine_grid_grad(Tensor g_out, int[] size, bool align)",
    kind=OTHER,
    infer=lambda g_out, size, align: make_meta(
        (size[0], len(size) - 2, len(size) - 1), g_out.dtype
    ),
    kernel=_affine_grad_kernel,
    grad={"g_out": lambda g, size, align: affine_grid_op(g, size=size, align=align)},
    grad_name="AffineGridGeneratorBackwardBackward0",
)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(2, 2, 3), (2, 1, 3, 4), False),
        S(t(2, 2, 3), [2, 1, 3, 4], align_corners=True),
        S(t(1, 3, 4), (1, 2, 2, 3, 4), align_corners=False),
    ),
    errors=(
        ErrorSample(S(t(2, 2, 3), (2, 1, 3)), NotImplementedError, "affine_grid only supports 4D"),
        ErrorSample(S(t(2, 3, 3), (2, 1, 3, 4)), ValueError, "of shape Nx2x3 for size"),
        ErrorSample(S(t(2, 2, 3), (2, 1, 0, 4)), ValueError, "non-zero, positive output size"),
    ),
)
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The places that affine maps ask for, as ``grid_sample`` wants them.

    Args:
        theta: matrices (N, 2, 3), or (N, 3, 4) for volumes.
        size: the size of the images, (N, C, H, W) or (N, C, D, H, W).
        align_corners: as for ``grid_sample``.

    >>> import rushlight as torch
    >>> same = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(same, (1, 1, 1, 2), align_corners=True)[0, 0]
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """
    sizes = tuple(int(n) for n in size)
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if align_corners is None:
        _warn_default()
    if len(sizes) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    nd = len(sizes) - 2
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (nd, nd + 1):
        raise ValueError(
            f"Expected a batch of {nd}D affine matrices of shape Nx{nd}x{nd + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(sizes[2:]) <= 0 or min(sizes) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return affine_grid_op(theta, size=sizes, align=bool(align_corners))
