"""Resizing along axes: every new element is a weighted sum of a few old ones, its taps."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, dtype, float32, float64, int64, uint8
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ir.scalar import Expr, cast, const, function, maximum, minimum
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.memory_format import kept_layout
from rushlight.engine.ops.places import Load, Part, Place, divided, whole_number
from rushlight.engine.ops.written_out import source_place

Array = np.ndarray
Scales = tuple[float | None, ...]
Filter = Callable[[Array], Array]

NEAREST, EXACT, LINEAR, CUBIC, LANCZOS = "nearest", "nearest-exact", "linear", "cubic", "lanczos"


# weights ---------------------------------------------------------------------------------------


def cubic(x: Array, a: float = -0.75) -> Array:
    """The kernel of Keys, 1981, doi:10.1109/TASSP.1981.1163711."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _triangle(x: Array) -> Array:
    return np.maximum(1 - np.abs(x), 0)


def _lanczos(x: Array) -> Array:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


#: The kernel of each anti-aliased mode and how far it reaches.
_FILTERS: dict[str, tuple[Filter, float]] = {
    LINEAR: (_triangle, 1.0),
    CUBIC: (lambda x: cubic(x, -0.5), 2.0),
    LANCZOS: (_lanczos, 3.0),
}


class Axis:
    """How one axis is resized: the old places (count, taps) of every new one, and their weights."""

    __slots__ = ("order", "places", "size", "starts", "targets", "weights")

    def __init__(self, size: int, places: Array, weights: Array | None) -> None:
        self.size = size
        self.places = places
        self.weights = weights
        # for the gradient: all taps by the old place they belong to
        flat = places.reshape(-1)
        self.order = np.argsort(flat, kind="stable")
        ordered = flat[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.targets = ordered[self.starts]

    def apply(self, x: Array, axis: int) -> Array:
        """``x`` resized along ``axis``."""
        column = [1] * x.ndim
        column[axis] = -1
        made: Array | None = None
        for tap in range(self.places.shape[1]):
            part = x.take(self.places[:, tap], axis)
            if self.weights is not None:
                part *= self.weights[:, tap].astype(x.dtype).reshape(column)
            made = part if made is None else np.add(made, part, out=made)
        assert made is not None
        return made

    def apply_bytes(self, x: Array, axis: int) -> Array:
        """``x`` of bytes resized along ``axis`` in whole numbers, as PyTorch and Pillow do it."""
        assert self.weights is not None
        precision = 0
        largest = float(self.weights.max())
        while precision < 22 and int(0.5 + largest * 2.0 ** (precision + 1)) < 1 << 15:
            precision += 1
        scaled = self.weights * 2.0**precision
        whole = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
        column = [1] * x.ndim
        column[axis] = -1
        total: Any = 1 << (precision - 1)
        for tap in range(self.places.shape[1]):
            part = x.take(self.places[:, tap], axis).astype(np.int64)
            total = total + part * whole[:, tap].reshape(column)
        return np.clip(total >> precision, 0, 255).astype(np.uint8)

    def spread(self, g: Array, axis: int) -> Array:
        """The gradient of an axis of the old size."""
        column = [1] * g.ndim
        column[axis] = -1
        taps = self.places.shape[1]
        parts = g.take(self.order // taps, axis)
        if self.weights is not None:
            parts *= self.weights.reshape(-1)[self.order].astype(g.dtype).reshape(column)
        shape = list(g.shape)
        shape[axis] = self.size
        made = np.zeros(shape, g.dtype)
        where = (slice(None),) * axis + (self.targets,)
        made[where] = np.add.reduceat(parts, self.starts, axis=axis)
        return made


def _antialiased(size: int, count: int, scale: float, mode: str) -> Axis:
    """A kernel as wide as the shrinking asks for."""
    function, reach = _FILTERS[mode]
    stretch = max(scale, 1.0)
    centre = (np.arange(count) + 0.5) * scale
    first = np.maximum((centre - reach * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach * stretch + 0.5).astype(np.int64), size)
    taps = np.arange(max(int((last - first).max(initial=1)), 1))
    places = first[:, None] + taps
    weights = function((places - centre[:, None] + 0.5) / stretch)
    weights = np.where(places < last[:, None], weights, 0)
    return Axis(size, places.clip(0, size - 1), weights / weights.sum(1, keepdims=True))


@lru_cache(maxsize=512)
def resized_axis(
    size: int, count: int, given: float | None, mode: str, align: bool, smooth: bool, double: bool
) -> Axis:
    """How an axis of ``size`` elements becomes one of ``count``.

    Args:
        size, count: the old and the new number of elements.
        given: the user's scale factor, where it is to be used.
        mode: which kernel.
        align: whether the outermost elements stay in place.
        smooth: widen the kernel when shrinking.
        double: whether places are computed in double precision, as for float64 inputs.
    """
    scale = 1.0 / given if given else size / count
    new = np.arange(count, dtype=np.float64)
    if mode in (NEAREST, EXACT):
        kind: type[np.floating] = np.float64 if double else np.float32
        middle = kind(0.5 if mode == EXACT else 0.0)
        chosen = np.floor((new.astype(kind) + middle) * kind(scale)).astype(np.int64)
        return Axis(size, np.minimum(chosen, size - 1)[:, None], None)
    if smooth:
        if align:
            scale = (size - 1) / (count - 1) if count > 1 else 0.0
        return _antialiased(size, count, scale, mode)
    if align:
        where = new * ((size - 1) / (count - 1)) if count > 1 else new * 0
    else:
        where = (new + 0.5) * scale - 0.5
    if mode == LINEAR:
        where = np.maximum(where, 0)
    first = np.floor(where).astype(np.int64)
    part = (where - first)[:, None]
    if mode == LINEAR:
        places = first[:, None] + np.arange(2)
        return Axis(size, places.clip(0, size - 1), np.hstack([1 - part, part]))
    places = first[:, None] + np.arange(-1, 3)
    return Axis(size, places.clip(0, size - 1), cubic(part - np.arange(-1, 3)))


# records ---------------------------------------------------------------------------------------


def _axes(
    old: Shape, size: Shape, scales: Scales, mode: str, align: bool, smooth: bool, double: bool
) -> list[Axis]:
    rows = zip(old, size, scales, strict=True)
    return [resized_axis(n, m, given, mode, align, smooth, double) for n, m, given in rows]


def _infer(name: str, nd: int, bytes_too: bool) -> Callable[..., Meta]:
    def infer(input: Meta, size: Shape, scales: Scales, align: bool) -> Meta:
        old = tuple(input.shape[2:])
        if min(*old, *size) <= 0:
            letters = "DHW"[-nd:]
            sizes = [
                ", ".join(f"{letter}: {n}" for letter, n in zip(letters, part, strict=True))
                for part in (old, size)
            ]
            raise RuntimeError(
                "Input and output sizes should be greater than 0, but got input "
                f"({sizes[0]}) output ({sizes[1]})"
            )
        if input.shape[1] == 0:
            raise RuntimeError(
                f"Non-empty {nd + 2}D data tensor expected but got a tensor with sizes "
                f"{list(input.shape)}"
            )
        floating = input.dtype.is_floating_point
        if not floating and not (bytes_too and input.dtype is uint8):
            raise NotImplementedError(
                f"\"{name}\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
            )
        return kept_layout(input, (*input.shape[:2], *size))

    return infer


def _kernel(mode: str, smooth: bool) -> Callable[..., Any]:
    def prepare(spec: Spec, size: Shape, scales: Scales, align: bool) -> Callable[[Array], Array]:
        source = spec.inputs[0]
        assert source is not None
        found, out = spec.out.dtype.numpy, tuple(spec.out.shape)
        compute = numpy_compute(spec.out.dtype)
        axes = _axes(
            tuple(source.shape[2:]), size, scales, mode, align, smooth, compute == np.float64
        )
        in_bytes = found == np.uint8 and mode not in (NEAREST, EXACT)

        def call(x: Array) -> Array:
            if not prod(out):
                return np.zeros(out, found)
            made = x.astype(compute, copy=False)
            for number, axis in reversed(list(enumerate(axes, 2))):
                if made.shape[number] != out[number] or not in_bytes:
                    step = axis.apply_bytes if in_bytes else axis.apply
                    made = step(made, number)
            return np.ascontiguousarray(made, found)

        return call

    return prepare


def _grad_kernel(mode: str, smooth: bool) -> Callable[..., Any]:
    def prepare(
        spec: Spec, old: Shape, size: Shape, scales: Scales, align: bool
    ) -> Callable[[Array], Array]:
        found, out = spec.out.dtype.numpy, tuple(spec.out.shape)
        compute = numpy_compute(spec.out.dtype)
        axes = _axes(old, size, scales, mode, align, smooth, compute == np.float64)

        def call(g: Array) -> Array:
            if not prod(out):
                return np.zeros(out, found)
            made = g.astype(compute, copy=False)
            for number, axis in enumerate(axes):
                made = axis.spread(made, 2 + number)
            return np.ascontiguousarray(made, found)

        return call

    return prepare


def _nearest_place(
    part: Part, size: int, count: int, given: float | None, mode: str, kind: dtype
) -> Part:
    """The component of the old element nearest to a new one."""
    places = resized_axis(size, count, given, mode, False, False, kind is float64).places[:, 0]
    if count % size == 0 and np.array_equal(places, np.arange(count) // (count // size)):
        return divided(part, count // size)[0]
    scale = 1.0 / given if given else size / count
    number = cast(whole_number(part), kind)
    if mode == EXACT:
        number = number + 0.5
    found = cast(function("floor", number * const(scale, kind)), int64)
    return minimum(found, size - 1)


def _linear_taps(
    part: Part, size: int, count: int, given: float | None, align: bool, kind: dtype
) -> tuple[Part, Part, Expr]:
    """The components of the old elements around a new one, and the weight of the second."""
    number = cast(whole_number(part), float64)
    if align:
        where = number * ((size - 1) / (count - 1) if count > 1 else 0.0)
    else:
        where = maximum((number + 0.5) * (1.0 / given if given else size / count) - 0.5, 0.0)
    first = function("floor", where)
    place = cast(first, int64)
    second = minimum(place + 1, size - 1)
    return minimum(place, size - 1), second, cast(where - first, kind)


def _element(mode: str, smooth: bool) -> Callable[..., Expr | None] | None:
    """The element body of resizing to the nearest element or linearly."""

    def nearest(
        load: Load, index: Place, spec: Spec, size: Shape, scales: Scales, align: bool
    ) -> Expr:
        source = spec.inputs[0]
        assert source is not None
        kind = float64 if spec.out.dtype is float64 else float32
        rows = zip(index[2:], source.shape[2:], size, scales, strict=True)
        return load(0, [*index[:2], *[_nearest_place(*row, mode, kind) for row in rows]])

    def linear(
        load: Load, index: Place, spec: Spec, size: Shape, scales: Scales, align: bool
    ) -> Expr | None:
        source = spec.inputs[0]
        assert source is not None
        kind = computing(spec.out.dtype)
        if not kind.is_floating_point:
            return None
        rows = zip(index[2:], source.shape[2:], size, scales, strict=True)
        taps = [_linear_taps(*row, align, kind) for row in rows]

        def mixed(place: list[Part]) -> Expr:
            axis = len(place) - 2
            if axis == len(taps):
                return load(0, place)
            first, second, weight = taps[axis]
            return mixed([*place, first]) * (1 - weight) + mixed([*place, second]) * weight

        return mixed(list(index[:2]))

    if smooth or mode not in (NEAREST, EXACT, LINEAR):
        return None
    return linear if mode == LINEAR else nearest


def _upsample(name: str, grad_name: str, nd: int, mode: str, smooth: bool = False) -> Op:
    """The record of one kind of resizing, and of its gradient."""

    def spread_at(
        load: Load, index: Place, spec: Spec, old: Shape, size: Shape, scales: Scales, align: bool
    ) -> tuple[list[Part], Expr]:
        source = make_meta((*spec.out.shape[:2], *old), spec.out.dtype)
        return source_place(forward, source, (size, scales, align), index), load(0, index)

    spread_at.domain = 0  # type: ignore[attr-defined]
    forward = Op(
        f"{name}(Tensor input, int[] size, float[] scales, bool align)",
        kind=OTHER,
        infer=_infer(f"{name}_channels_last", nd, bytes_too=nd < 3 or mode in (NEAREST, EXACT)),
        kernel=_kernel(mode, smooth),
        element=_element(mode, smooth),
        grad={
            "input": lambda g, input_meta, size, scales, align: backward(
                g, old=tuple(input_meta.shape[2:]), size=size, scales=scales, align=align
            )
        },
        grad_name=grad_name,
    )
    backward = Op(
        f"{name}_grad(Tensor g_out, int[] old, int[] size, float[] scales, bool align)",
        kind=OTHER,
        infer=lambda g_out, old, size, scales, align: make_meta(
            (*g_out.shape[:2], *old), g_out.dtype
        ),
        kernel=_grad_kernel(mode, smooth),
        scatter=spread_at if mode in (NEAREST, EXACT) else None,
        grad={
            "g_out": lambda g, size, scales, align: forward(
                g, size=size, scales=scales, align=align
            )
        },
        grad_name=f"{grad_name}BackwardBackward0",
    )
    return forward


#: The records by mode and number of spatial axes.
UPSAMPLE: dict[tuple[str, int], Op] = {
    (mode, nd): _upsample(
        f"upsample_{mode.replace('-', '_')}{nd}d", f"Upsample{word}{nd}D", nd, kernel
    )
    for mode, word, kernel, ranks in (
        ("nearest", "Nearest", NEAREST, (1, 2, 3)),
        ("nearest-exact", "NearestExact", EXACT, (1, 2, 3)),
        ("linear", "Linear", LINEAR, (1,)),
        ("bilinear", "Bilinear", LINEAR, (2,)),
        ("bicubic", "Bicubic", CUBIC, (2,)),
        ("trilinear", "Trilinear", LINEAR, (3,)),
    )
    for nd in ranks
}

#: Those that widen their kernel when they shrink.
ANTIALIASED: dict[str, Op] = {
    mode: _upsample(f"upsample_{mode}2d_aa", f"Upsample{mode.capitalize()}2DAa", 2, kernel, True)
    for mode, kernel in (("bilinear", LINEAR), ("bicubic", CUBIC), ("lanczos", LANCZOS))
}

