"""PyTorch's faces of resizing."""

from __future__ import annotations

import math
import warnings
from typing import Any

from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, function_of
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.resample import ANTIALIASED, UPSAMPLE, Scales

_F = ("nn.functional",)
_RANKS = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _listed(value: Any, nd: int) -> list[Any]:
    if isinstance(value, TensorBase):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [v.item() if isinstance(v, TensorBase) else v for v in value]
    return [value] * nd


def _sizes(
    input: Any, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[Shape, Scales]:
    """The new spatial size, and the scale factors that are to be used as they are."""
    old = list(input.shape[2:])
    nd = len(old)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        sizes = _listed(size, nd)
        if len(sizes) != nd:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {old} and output size of {size}. Please provide input "
                "tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) "
                "format."
            )
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        for n in sizes:
            if not hasattr(n, "__index__"):
                raise TypeError(
                    f"interpolate(): the size must be made of ints, got {type(n).__name__}"
                )
        return tuple(int(n) for n in sizes), (None,) * nd
    scales = _listed(scale_factor, nd)
    if len(scales) != nd:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {old} and scale_factor of shape {scale_factor}. Please "
            "provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, "
            "...,sK) format."
        )
    made = tuple(math.floor(float(n) * s) for n, s in zip(old, scales, strict=True))
    return made, (None,) * nd if recompute else tuple(float(s) for s in scales)


def _check_mode(input: Any, mode: str, align_corners: bool | None, antialias: bool) -> None:
    rank = input.dim()
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    if antialias and not (mode in ANTIALIASED and rank == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode in _RANKS and rank in (3, 4, 5) and _RANKS[mode] != rank - 2:
        raise NotImplementedError(
            f"Got {rank}D input, but {mode} mode needs {_RANKS[mode] + 2}D input"
        )
    if mode == "lanczos" and rank == 4 and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    known = (mode, rank - 2) in UPSAMPLE or antialias or (mode == "area" and rank in (3, 4, 5))
    if not known:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank}D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
            f"(got {mode})"
        )


_IMAGE = t(1, 2, 4, 5)


@composite(
    namespaces=_F,
    samples=(
        S(t(1, 2, 3, 4), scale_factor=2),
        S(t(1, 2, 5, 4), size=(3, 7), mode="bilinear", align_corners=False),
        S(t(1, 2, 4, 4), size=(6, 6), mode="bicubic", align_corners=True),
        S(t(1, 2, 4, 5), scale_factor=(1.5, 0.6), mode="bicubic"),
        S(t(1, 2, 5), size=3, mode="linear"),
        S(t(1, 2, 8, 8), size=(4, 3), mode="bilinear", antialias=True),
        S(t(1, 2, 7, 6), scale_factor=(0.5, 1.5), mode="bicubic", antialias=True),
        S(t(1, 2, 7, 6), size=(3, 8), mode="lanczos", antialias=True),
        S(t(1, 2, 3, 3, 3), scale_factor=2.0, mode="trilinear"),
        S(t(1, 2, 5), size=3, mode="nearest-exact"),
        S(t(1, 2, 5, 7), scale_factor=0.7, mode="nearest-exact", recompute_scale_factor=True),
        S(t(1, 2, 3, 3, 3), size=(2, 5, 4)),
        S(t(1, 2, 3, 3, 3), size=(2, 5, 4), mode="nearest-exact"),
        S(t(1, 2, 5), size=8),
        S(t(1, 2, 4, 6), size=(2, 4), mode="area"),
        S(t(1, 2, 3, 4), scale_factor=1.3, mode="bilinear", recompute_scale_factor=True),
    ),
    errors=(
        ErrorSample(S(_IMAGE), ValueError, "either size or scale_factor should be defined"),
        ErrorSample(S(_IMAGE, 2, 2.0), ValueError, "only one of size or scale_factor should be"),
        ErrorSample(S(_IMAGE, (2, 2, 2)), ValueError, "the same number of spatial dimensions"),
        ErrorSample(
            S(_IMAGE, scale_factor=(2.0, 2.0, 2.0)), ValueError, "Input and scale_factor must have"
        ),
        ErrorSample(S(_IMAGE, 2, align_corners=True), ValueError, "align_corners option can only"),
        ErrorSample(S(_IMAGE, 2, mode="linear"), NotImplementedError, "Got 4D input, but linear"),
        ErrorSample(S(_IMAGE, 2, mode="cubic"), NotImplementedError, "Input Error: Only 3D, 4D"),
        ErrorSample(S(_IMAGE, 2, antialias=True), ValueError, "Anti-alias option is restricted"),
        ErrorSample(S(_IMAGE, 0), RuntimeError, "Input and output sizes should be greater than 0"),
        ErrorSample(S(t(2, 0, 3, 3), 2), RuntimeError, "Non-empty 4D data tensor expected"),
        ErrorSample(
            S(_IMAGE, 2, recompute_scale_factor=True), ValueError, "is not meaningful with an"
        ),
    ),
)
def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:  # fmt: skip
    """Resize signals along their spatial axes.

    Args:
        input: (N, C, ...), with one to three spatial axes.
        size: the new spatial size.
        scale_factor: the factor to resize by instead.
        mode: nearest, nearest-exact, linear, bilinear, bicubic, trilinear, lanczos or area.
        align_corners: keep the corner elements in place (not for nearest and area).
        recompute_scale_factor: compute the factor anew from the sizes.
        antialias: widen the kernel when shrinking (bilinear, bicubic and lanczos).

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    align = align_corners
    if mode in ("nearest", "area", "nearest-exact"):
        _check_mode(input, mode, align, False)
    sizes, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    _check_mode(input, mode, align, antialias)
    nd = len(sizes)
    if mode == "area":
        pool = function_of(f"nn.functional.adaptive_avg_pool{nd}d")
        return pool(input, sizes)
    op = ANTIALIASED[mode] if antialias else UPSAMPLE[mode, nd]
    return op(input, size=sizes, scales=scales, align=bool(align))


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        UserWarning,
        stacklevel=3,
    )


@composite(namespaces=_F, samples=(S(t(1, 1, 3, 3), scale_factor=2),))
def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:  # fmt: skip
    """The old name of ``interpolate``.

    >>> import warnings, rushlight as torch
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     torch.nn.functional.upsample(torch.ones(1, 1, 1), scale_factor=2)
    tensor([[[1., 1.]]])
    """
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(namespaces=_F, samples=(S(t(1, 1, 3, 3), scale_factor=2), S(t(1, 1, 3, 3), 5)))
def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """``interpolate`` with the nearest element.

    >>> import warnings, rushlight as torch
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     torch.nn.functional.upsample_nearest(torch.ones(1, 1, 1), scale_factor=2)
    tensor([[[1., 1.]]])
    """
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


@composite(namespaces=_F, samples=(S(t(1, 1, 3, 3), scale_factor=2), S(t(1, 1, 3, 3), 5)))
def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """``interpolate`` of images, linear, with the corners kept in place.

    >>> import warnings, rushlight as torch
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     torch.nn.functional.upsample_bilinear(torch.ones(1, 1, 1, 1), 2).shape
    torch.Size([1, 1, 2, 2])
    """
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)
