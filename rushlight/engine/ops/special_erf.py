"""The error function in single precision, from NumPy's arithmetic alone.

SciPy computes it element by element in about 10 ns each; this takes about 2.
"""

from __future__ import annotations

from typing import Final

import numpy as np

#: erf(x) = x * P(x**2) / Q(x**2) on [-3.92, 3.92], beyond which erf is 1 in single precision.
#: Fitted by reweighted least squares to SciPy's erf: 1.9e-8 relative error in exact arithmetic,
#: 4.4e-7 with these roundings. Highest power first.
_END: Final = 3.92
_NUMERATOR: Final = (
    2.0500331e-06, 2.8487516e-04, 3.7655151e-03, 5.2748408e-02, 1.9040482e-01, 1.1283791,
)  # fmt: skip
_DENOMINATOR: Final = (
    3.8090755e-05, 1.1625006e-03, 1.4969023e-02, 1.1410834e-01, 5.0207460e-01, 1.0,
)  # fmt: skip

#: Elements worked on at once, so that the five arrays stay in the second-level cache.
_BLOCK: Final = 16384


def _horner(y: np.ndarray, coefficients: tuple[float, ...], into: np.ndarray) -> np.ndarray:
    np.multiply(y, coefficients[0], into)
    for coefficient in coefficients[1:-1]:
        np.add(into, coefficient, into)
        np.multiply(into, y, into)
    return np.add(into, coefficients[-1], into)


def _block(x: np.ndarray, out: np.ndarray) -> None:
    inside = x.clip(-_END, _END)
    y = np.square(inside)
    above = _horner(y, _NUMERATOR, np.empty_like(y))
    below = _horner(y, _DENOMINATOR, np.empty_like(y))
    np.multiply(above, inside, above)
    np.divide(above, below, above)
    np.clip(above, -1, 1, out=out)


def erf_float32(x: np.ndarray) -> np.ndarray:
    """erf of a float32 array of any shape."""
    x = np.asarray(x)
    if x.size <= _BLOCK or not (x.flags.c_contiguous or x.flags.f_contiguous):
        out = np.empty_like(x)
        _block(x, out)
        return out
    out = np.empty_like(x)
    source, target = x.ravel(order="K"), out.reshape(-1, order="A")
    for start in range(0, source.size, _BLOCK):
        _block(source[start : start + _BLOCK], target[start : start + _BLOCK])
    return out
