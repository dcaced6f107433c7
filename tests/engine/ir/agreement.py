"""How far bodies may be from the kernels they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.op import Spec

#: How many units in the last place a body may be off; others: ``USUAL``.
USUAL = 4
ULPS: dict[str, int] = {"erf": 8, "nll_loss_grad": 8}

#: What an operator's rounding errors are to be measured by, if not by its result.
SCALES: dict[str, Callable[..., Any]] = {
    "gelu": np.abs,
    "ndtr": np.ones_like,
    "upsample_linear1d": lambda x: 9.0,
    "upsample_bilinear2d": lambda x: 9.0,
    "upsample_trilinear3d": lambda x: 9.0,
    "logaddexp": lambda x, y: np.maximum(np.abs(x), 1),
    "logaddexp2": lambda x, y: np.maximum(np.abs(x), 1),
    "gelu_backward": lambda g, x: np.abs(g) * np.maximum(np.abs(x), 1),
}

#: Operators whose kernels leave it open which zero they give where two meet.
ANY_ZERO = frozenset(
    ("maximum", "minimum", "clamp", "clamp_min", "clamp_max", "remainder", "elu", "celu", "fmax",
     "fmin")
)

#: Operands for which the kernel's result has no meaning.
UNDEFINED: dict[str, Callable[..., Any]] = {
    "relu_backward": lambda g, result: np.isnan(result),  # decided by the sign of the NaN
}


def from_kernel(spec: Spec, given: list[Any]) -> list[np.ndarray]:
    """The results by the interpreter's kernel."""
    copies = [x.copy() if isinstance(x, np.ndarray) else x for x in given]
    with np.errstate(all="ignore"):
        made = spec.kernel(*copies)
    return [np.asarray(part) for part in (made if isinstance(made, tuple) else (made,))]


def differing(
    name: str, given: list[Any], ours: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Where two results differ more than they may."""
    assert ours.dtype == expected.dtype
    ours = np.broadcast_to(ours, expected.shape)
    if expected.dtype.kind in "biu":
        return ours != expected
    half = expected.dtype.itemsize < 4
    step = {2: 2.0**-8, 4: 2.0**-23, 8: 2.0**-52}[expected.dtype.itemsize]
    a, b = ours.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        floor = np.finfo(np.float64 if expected.dtype.itemsize == 8 else np.float32).tiny
        if name in SCALES:
            floor = SCALES[name](*[x.astype(np.float64) for x in given])
        ulps = 1 + (name in ULPS) if half else ULPS.get(name, USUAL)
        allowed = step * ulps * np.maximum(np.abs(b), floor)
        near = np.abs(a - b) <= allowed
    zeros = (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))
    bad = ~((a == b) | near | (np.isnan(a) & np.isnan(b)))
    if name not in ANY_ZERO:
        bad = bad | zeros
    return bad & ~UNDEFINED[name](*given) if name in UNDEFINED else bad
