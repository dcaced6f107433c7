"""Resizing images and signals: nearest, linear and cubic interpolation as matrix products."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype
from rushlight.engine.ir.op import Composite, composite, constant
from rushlight.engine.ir.samples import S, t

_F = ("nn.functional",)


def _source(count: int, size: int, scale: float, align: bool) -> np.ndarray:
    """Where every new position lies among the old ones."""
    new = np.arange(count, dtype=np.float64)
    if align:
        return new * ((size - 1) / (count - 1)) if count > 1 else new * 0
    return (new + 0.5) * scale - 0.5


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The kernel of Keys, 1981."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _antialiased(size: int, count: int, scale: float, mode: str) -> np.ndarray:
    """Weights of a kernel as wide as the shrinking asks for."""
    stretch = max(scale, 1.0)
    centre = (np.arange(count) + 0.5) * scale
    offsets = np.arange(size)[None, :] + 0.5 - centre[:, None]
    if mode == "linear":
        weights = _triangle(offsets / stretch)
    else:
        weights = _cubic(offsets / stretch, -0.5)
    return weights / weights.sum(1, keepdims=True)


@lru_cache(maxsize=256)
def _weights(
    size: int, count: int, scale: float, mode: str, align: bool, antialias: bool
) -> np.ndarray:
    """The matrix (count, size) that resizes one axis."""
    if antialias:
        return _antialiased(size, count, scale, mode)
    made = np.zeros((count, size))
    rows = np.arange(count)
    if mode in ("nearest", "nearest-exact"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        chosen = np.floor((rows + shift) * np.float32(scale)).astype(np.int64)
        made[rows, np.minimum(chosen, size - 1)] = 1
        return made
    where = _source(count, size, scale, align)
    if mode == "linear":
        where = np.maximum(where, 0)
    first = np.floor(where).astype(np.int64)
    part = where - first
    if mode == "linear":
        np.add.at(made, (rows, np.minimum(first, size - 1)), 1 - part)
        np.add.at(made, (rows, np.minimum(first + 1, size - 1)), part)
        return made
    for step in range(-1, 3):
        places = np.clip(first + step, 0, size - 1)
        np.add.at(made, (rows, places), _cubic(part - step))
    return made


def _apply(x: Any, axis: int, matrix: np.ndarray, found: dtype) -> Any:
    weights = constant(matrix.astype(found.numpy))
    moved = x.movedim(axis, -1)
    return (moved @ weights.t()).movedim(-1, axis)


def _sizes(input: Any, size: Any, scale_factor: Any, nd: int) -> tuple[list[int], list[Any]]:
    if (size is None) == (scale_factor is None):
        which = "only one of" if size is not None else "either"
        raise ValueError(f"{which} size or scale_factor should be defined")
    old = list(input.shape[2:])
    if size is not None:
        sizes = [int(size)] * nd if isinstance(size, int) else [int(n) for n in size]
        if len(sizes) != nd:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {old} and output size of {size}. Please provide input "
                "tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) "
                "format."
            )
        return sizes, [None] * nd
    scales = [scale_factor] * nd if isinstance(scale_factor, (int, float)) else list(scale_factor)
    return [math.floor(n * s) for n, s in zip(old, scales, strict=True)], scales


_ND = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


@composite(
    namespaces=_F,
    samples=(
        S(t(1, 2, 3, 4), scale_factor=2),
        S(t(1, 2, 5, 4), size=(3, 7), mode="bilinear", align_corners=False),
        S(t(1, 2, 4, 4), size=(6, 6), mode="bicubic", align_corners=True),
        S(t(1, 2, 5), size=3, mode="linear"),
        S(t(1, 2, 8, 8), size=(4, 3), mode="bilinear", antialias=True),
        S(t(1, 2, 3, 3, 3), scale_factor=2.0, mode="trilinear"),
        S(t(1, 2, 5), size=3, mode="nearest-exact"),
    ),
)
def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:  # fmt: skip
    """Resize signals (N, C, ...) along their spatial axes.

    Args:
        size: the new spatial size.
        scale_factor: the factor to resize by instead.
        mode: nearest, nearest-exact, linear, bilinear, bicubic, trilinear or area.
        align_corners: keep the corner elements in place (not for nearest and area).
        antialias: widen the kernel when shrinking (bilinear and bicubic).

    >>> import rushlight as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    nd = input.dim() - 2
    sizes, scales = _sizes(input, size, scale_factor, nd)
    if mode == "area":
        return Composite.registry[f"nn.functional.adaptive_avg_pool{nd}d"].function(input, sizes)
    if mode in ("nearest", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif mode not in _ND or _ND[mode] != nd:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the "
            "modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact "
            f"(got {mode})"
        )
    kind = {"bicubic": "cubic"}.get(mode, mode if mode.startswith("nearest") else "linear")
    y = input
    for axis in range(nd):
        old, new = input.shape[2 + axis], sizes[axis]
        given = scales[axis]
        scale = old / new if given is None or recompute_scale_factor else 1.0 / given
        matrix = _weights(old, new, scale, kind, bool(align_corners), antialias)
        y = _apply(y, 2 + axis, matrix, input.dtype)
    return y


@composite(namespaces=_F, samples=(S(t(1, 1, 3, 3), scale_factor=2),))
def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:  # fmt: skip
    """The old name of ``interpolate``.

    >>> import rushlight as torch
    >>> torch.nn.functional.upsample(torch.ones(1, 1, 1), scale_factor=2)
    tensor([[[1., 1.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


