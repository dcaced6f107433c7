"""Comparisons and bit operations."""

from __future__ import annotations

import numpy as np

from rushlight.engine.ir.samples import BINARY, S, t, tb, ti
from rushlight.engine.ops.elementwise import COMPARE, pointwise

_FACE = {"namespaces": ("torch",), "method": True, "inplace": True}
_COMPARED = (*BINARY, S(ti(3, 2), t(2)), S(ti(4), 1), S(tb(3), tb(3)))

eq = pointwise("eq(Tensor input, Tensor other)", np.equal, rule=COMPARE, samples=_COMPARED, **_FACE)
ne = pointwise(
    "ne(Tensor input, Tensor other)", np.not_equal, rule=COMPARE, samples=_COMPARED, **_FACE
)
lt = pointwise("lt(Tensor input, Tensor other)", np.less, rule=COMPARE, samples=_COMPARED, **_FACE)
le = pointwise(
    "le(Tensor input, Tensor other)", np.less_equal, rule=COMPARE, samples=_COMPARED, **_FACE
)
gt = pointwise(
    "gt(Tensor input, Tensor other)", np.greater, rule=COMPARE, samples=_COMPARED, **_FACE
)
ge = pointwise(
    "ge(Tensor input, Tensor other)", np.greater_equal, rule=COMPARE, samples=_COMPARED, **_FACE
)

_BITS = (S(ti(3, 4), ti(4)), S(ti(3), 3), S(tb(3), tb(3)))

bitwise_and = pointwise(
    "bitwise_and(Tensor input, Tensor other)", np.bitwise_and, samples=_BITS, **_FACE
)
bitwise_or = pointwise(
    "bitwise_or(Tensor input, Tensor other)", np.bitwise_or, samples=_BITS, **_FACE
)
bitwise_xor = pointwise(
    "bitwise_xor(Tensor input, Tensor other)", np.bitwise_xor, samples=_BITS, **_FACE
)
bitwise_not = pointwise(
    "bitwise_not(Tensor input)", np.invert, samples=(S(ti(3, 4)), S(tb(3))), **_FACE
)
bitwise_left_shift = pointwise(
    "bitwise_left_shift(Tensor input, Tensor other)",
    np.left_shift,
    samples=(S(ti(3, low=0), ti(3, low=0)),),
    **_FACE,
)
bitwise_right_shift = pointwise(
    "bitwise_right_shift(Tensor input, Tensor other)",
    np.right_shift,
    samples=(S(ti(3, low=0), ti(3, low=0)),),
    **_FACE,
)
