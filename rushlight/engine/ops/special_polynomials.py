"""Orthogonal polynomials of ``torch.special``, by their three-term recurrences.

https://dlmf.nist.gov/18.9: p[k+1] = (a * x + b) * p[k] - c * p[k-1], with a, b, c depending on k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.arithmetic_rules import example, guarded, refuse
from rushlight.engine.ops.elementwise import FLOAT, pointwise

Recurrence = Callable[[int], tuple[float, float, float]]


def _evaluate(
    x: np.ndarray, n: np.ndarray, first: Callable[[np.ndarray], np.ndarray], step: Recurrence
) -> np.ndarray:
    """Run the recurrence up to the largest degree, keeping each element's own degree."""
    x, n = np.broadcast_arrays(x, n)
    degree = np.floor(n)
    found = np.where(degree < 0, x.dtype.type(0), np.ones_like(x))
    if not x.size:
        return found
    before, current = np.ones_like(x), first(x).astype(x.dtype)
    for k in range(1, int(degree.max()) + 1):
        found = np.where(degree == k, current, found)
        a, b, c = step(k)
        before, current = current, ((a * x + b) * current - c * before).astype(x.dtype)
    return found


def _chebyshev(k: int) -> tuple[float, float, float]:
    return 2.0, 0.0, 1.0


def _record(
    name: str, first: Callable[[Any], Any], step: Recurrence, words: str, shown: str,
    shifted: bool = False,
) -> None:  # fmt: skip
    """Record the polynomial and its face in ``torch.special``."""

    def infer(input: Meta, n: Meta) -> Meta:
        for meta in (input, n):
            if not meta.weak and meta.dtype.category == FLOATING and meta.dtype.itemsize < 4:
                refuse(f"{name}_cpu", meta.dtype)
        return guarded(2, FLOAT, complex=f"{name}_cpu")(input, n)

    def kernel(x: Any, n: Any) -> Any:
        x, n = np.asarray(x), np.asarray(n)
        if x.dtype.itemsize != n.dtype.itemsize:  # one of them is a plain number
            x = x.astype(n.dtype) if n.ndim else x
        return _evaluate(2 * x - 1 if shifted else x, n, first, step)

    op = pointwise(f"{name}(Tensor input, Tensor n)", kernel, rule=FLOAT, infer=infer)

    def call(input: Any, n: Any) -> Any:
        return op.quick(input, n)

    call.__doc__ = (
        f"The {words} of degree ``n``.\n\n    Args:\n        input: a tensor or a number.\n"
        "        n: the degree, a tensor or a number."
    ) + example(f"special.{name}(torch.tensor([0.5]), 2)", shown)
    inside = t(3, 4, low=0.1, high=0.9, grad=False)
    samples = (S(inside, ti(4, low=0, high=6)), S(inside, 3), S(inside, ti(3, 1, low=0, high=5)))
    composite(name=name, namespaces=("special",), samples=samples)(call)


_KINDS: dict[str, tuple[str, Callable[[Any], Any], str, str]] = {
    "t": ("first", lambda x: x, "-0.5000", "-1."),
    "u": ("second", lambda x: 2 * x, "0.", "-1."),
    "v": ("third", lambda x: 2 * x - 1, "-1.", "-1."),
    "w": ("fourth", lambda x: 2 * x + 1, "1.", "-1."),
}
for _letter, (_kind, _first, _shown, _shifted) in _KINDS.items():
    _words = f"Chebyshev polynomial of the {_kind} kind"
    _record(f"chebyshev_polynomial_{_letter}", _first, _chebyshev, _words, f"tensor([{_shown}])")
    _record(
        f"shifted_chebyshev_polynomial_{_letter}", _first, _chebyshev, f"shifted {_words}",
        f"tensor([{_shifted}])", shifted=True,
    )  # fmt: skip

_record(
    "hermite_polynomial_h", lambda x: 2 * x, lambda k: (2.0, 0.0, 2.0 * k),
    "physicist's Hermite polynomial", "tensor([-1.])",
)  # fmt: skip
_record(
    "hermite_polynomial_he", lambda x: x, lambda k: (1.0, 0.0, float(k)),
    "probabilist's Hermite polynomial", "tensor([-0.7500])",
)  # fmt: skip
_record(
    "laguerre_polynomial_l", lambda x: 1 - x,
    lambda k: (-1.0 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)),
    "Laguerre polynomial", "tensor([0.1250])",
)  # fmt: skip
_record(
    "legendre_polynomial_p", lambda x: x, lambda k: ((2 * k + 1) / (k + 1), 0.0, k / (k + 1)),
    "Legendre polynomial", "tensor([-0.1250])",
)  # fmt: skip
