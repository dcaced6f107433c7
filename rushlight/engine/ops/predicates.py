"""Questions about elements and tensors: isnan, isfinite, isclose, equal and their like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import (
    COMPLEX,
    FLOATING,
    SCALAR_NAMES,
    bool_,
    float64,
    int32,
    int64,
)
from rushlight.engine.ir.graph import WEAK_METAS, Meta, TensorBase
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import S, t, tb, tc, ti
from rushlight.engine.ir.scalar import Expr, bits, cast, const, function
from rushlight.engine.ops.arithmetic_rules import Refusal, example, guarded, require_tensor
from rushlight.engine.ops.bodies import absolute, applied
from rushlight.engine.ops.elementwise import (
    COMPARE,
    as_floating,
    broadcast_meta,
    numpy_compute,
    pointwise,
    result_type,
)

_SPECIAL_VALUES = t(5, values=[1.0, float("nan"), float("inf"), float("-inf"), -0.0])


def _ask(
    name: str,
    function: Callable[..., Any],
    words: str,
    shown: str,
    complex_: Refusal = None,
    *,
    scalar: Callable[[Expr], Expr],
    whole: bool = False,
) -> Op:
    """Record a question about each element; ``whole`` is the answer for integers."""
    return pointwise(
        f"{name}(Tensor input)",
        function,
        scalar=lambda x: scalar(x) if x.floating else const(whole, bool_),
        rule=COMPARE,
        infer=guarded(1, COMPARE, complex=complex_),
        namespaces=("torch",),
        method=True,
        samples=(S(t(3, 4)), S(_SPECIAL_VALUES), S(ti(4)), S(tb(2)), S(t(0, 3)), S(t())),
        doc=f"Where an element is {words}."
        + example(f"{name}(torch.tensor([1.0, float('nan'), float('-inf')]))", shown),
    )


def _signbit(x: Any) -> Any:
    return np.signbit(x) if x.dtype.kind == "f" else np.less(x, 0)


isnan = _ask(
    "isnan", np.isnan, "not a number", "tensor([False,  True, False])",
    scalar=applied("isnan"),
)  # fmt: skip
isinf = _ask(
    "isinf", np.isinf, "infinite", "tensor([False, False,  True])",
    scalar=lambda x: absolute(x).eq(np.inf),
)  # fmt: skip
isfinite = _ask(
    "isfinite", np.isfinite, "a finite number", "tensor([ True, False, False])",
    scalar=lambda x: absolute(x) < np.inf, whole=True,
)  # fmt: skip
isposinf = _ask(
    "isposinf",
    lambda x: np.equal(x, np.inf),
    "positive infinity",
    "tensor([False, False, False])",
    (RuntimeError, "isposinf does not support complex inputs."),
    scalar=lambda x: x.eq(np.inf),
)
isneginf = _ask(
    "isneginf",
    lambda x: np.equal(x, -np.inf),
    "negative infinity",
    "tensor([False, False,  True])",
    (RuntimeError, "isneginf does not support complex inputs."),
    scalar=lambda x: x.eq(-np.inf),
)
isreal = _ask(
    "isreal", np.isreal, "a real number", "tensor([True, True, True])",
    scalar=lambda x: const(True, bool_), whole=True,
)  # fmt: skip
def _scalar_signbit(x: Expr) -> Expr:
    if x.floating:
        return bits(x, int64 if x.dtype is float64 else int32) < 0
    return x < 0 if x.dtype.is_signed else const(False, bool_)


signbit = pointwise(
    "signbit(Tensor input)",
    _signbit,
    scalar=_scalar_signbit,
    rule=COMPARE,
    infer=guarded(
        1,
        COMPARE,
        complex=(NotImplementedError, "signbit is not implemented for complex tensors."),
    ),
    namespaces=("torch",),
    method=True,
    samples=isnan.samples,
    doc="Where an element is negative, minus zero included."
    + example(
        "signbit(torch.tensor([1.0, float('nan'), float('-inf')]))",
        "tensor([False, False,  True])",
    ),
)


# closeness --------------------------------------------------------------------------------------


def _isclose_infer(
    input: Meta, other: Meta, rtol: Meta, atol: Meta, equal_nan: bool
) -> Meta:
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"{SCALAR_NAMES[input.dtype]} did not match {SCALAR_NAMES[other.dtype]}"
        )
    return broadcast_meta((input, other), bool_)


def _isclose_kernel(spec: Spec, equal_nan: bool) -> Callable[..., np.ndarray]:
    source = spec.inputs[0]
    assert source is not None
    target = numpy_compute(as_floating(source.dtype))
    inexact = source.dtype.category >= FLOATING

    def kernel(x: Any, y: Any, rtol: float, atol: float) -> np.ndarray:
        close = np.equal(x, y)
        if equal_nan and inexact:
            close = close | (np.isnan(x) & np.isnan(y))
        if rtol == 0 and atol == 0:
            return np.asarray(close)
        first, second = x.astype(target, copy=False), y.astype(target, copy=False)
        allowed = atol + np.abs(np.multiply(second, rtol))
        distance = np.abs(np.subtract(first, second))
        return np.asarray(close | (np.isfinite(distance) & (distance <= allowed)))

    return kernel


def _scalar_isclose(x: Expr, y: Expr, rtol: Expr, atol: Expr, equal_nan: bool) -> Expr:
    close = x.eq(y)
    if equal_nan and x.floating:
        close = close | (function("isnan", x) & function("isnan", y))
    first, second = cast(x, rtol.dtype), cast(y, rtol.dtype)
    allowed = atol + function("abs", second * rtol)
    distance = function("abs", first - second)
    tolerated = (distance < np.inf) & (distance <= allowed)
    return close | (tolerated & (rtol.ne(0) | atol.ne(0)))


def _isclose_types(metas: tuple[Meta, ...], attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    tolerance = as_floating(metas[0].dtype)
    return None, None, tolerance, tolerance


isclose_op = pointwise(
    "isclose(Tensor input, Tensor other, Tensor rtol, Tensor atol, bool equal_nan)",
    np.equal,
    infer=_isclose_infer,
    kernel=_isclose_kernel,
    scalar=_scalar_isclose,
    compute=_isclose_types,
)

_CLOSE = (
    S(t(3, 4), t(3, 4)),
    S(t(3, values=[1.0, 2.0, 3.0]), t(3, values=[1.0, 2.0000001, 3.1])),
    S(t(4), t(4), atol=1.0),
    S(_SPECIAL_VALUES, _SPECIAL_VALUES, equal_nan=True),
    S(ti(4), ti(4), rtol=0.5),
    S(tb(3), tb(3)),
    S(tc(3), tc(3), atol=1.5),
)


@composite(method=True, samples=_CLOSE)
def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Where ``abs(input - other) <= atol + rtol * abs(other)``.

    Args:
        input: a tensor.
        other: a tensor of the same type that broadcasts with it.
        rtol: relative tolerance, not negative.
        atol: absolute tolerance, not negative.
        equal_nan: whether two NaN are close.

    >>> import rushlight as torch
    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0 + 1e-7, 2.1]))
    tensor([ True, False])
    """
    require_tensor(other, "isclose", "other", 2)
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol:g}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol:g}")
    return isclose_op(input, other, rtol, atol, equal_nan=bool(equal_nan))


@composite(method=True, samples=_CLOSE)
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, see ``isclose``.

    Args:
        input: a tensor.
        other: a tensor of the same type that broadcasts with it.
        rtol: relative tolerance, not negative.
        atol: absolute tolerance, not negative.
        equal_nan: whether two NaN are close.

    >>> import rushlight as torch
    >>> torch.allclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0 + 1e-7, 2.0]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@composite(
    method=True, samples=(S(t(3), t(3)), S(t(3), t(2)), S(ti(2, 2), ti(2, 2)), S(t(0), t(0)))
)
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> import rushlight as torch
    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    require_tensor(other, "equal", "other", 2)
    if input.shape != other.shape:
        return False
    return bool((input == other).all().item())


# tensors ----------------------------------------------------------------------------------------


@composite(samples=(S(t(2)), S(tc(2)), S(ti(2))))
def is_complex(input: Any) -> bool:
    """Whether the type is a complex one.

    >>> import rushlight as torch
    >>> torch.is_complex(torch.ones(1))
    False
    """
    return bool(input.dtype.category == COMPLEX)


@composite(samples=(S(t(2)), S(tc(2)), S(ti(2))))
def is_floating_point(input: Any) -> bool:
    """Whether the type is a floating-point one.

    >>> import rushlight as torch
    >>> torch.is_floating_point(torch.ones(1))
    True
    """
    return bool(input.dtype.category == FLOATING)


@composite(samples=(S(t(2)), S(ti(2)), S(tb(2))))
def is_signed(input: Any) -> bool:
    """Whether the type has negative numbers.

    >>> import rushlight as torch
    >>> torch.is_signed(torch.ones(1))
    True
    """
    return bool(input.dtype.is_signed)


@composite(method=True, samples=(S(t(2), t(2)), S(t(2), t(3))))
def is_same_size(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape.

    >>> import rushlight as torch
    >>> torch.is_same_size(torch.ones(1), torch.ones(2))
    False
    """
    return bool(input.shape == other.shape)


@composite(
    name="result_type",
    samples=(S(t(2), ti(2)), S(ti(2), 1.5), S(t(), ti(2)), S(2, t(1)), S(ti(2), tb(2))),
)
def result_type_(tensor1: Any, tensor2: Any) -> Any:
    """The type that arithmetic on two tensors or numbers has.

    See https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc.

    >>> import rushlight as torch
    >>> torch.result_type(torch.tensor([1, 2], dtype=torch.int32), 1.0)
    torch.float32
    """
    metas = [
        x._value.meta if isinstance(x, TensorBase) else WEAK_METAS[type(x)]
        for x in (tensor1, tensor2)
    ]
    return result_type(metas)


@composite(method=True, samples=(S(t(2)), S(tc(2))))
def is_conj(input: Any) -> bool:
    """Whether a conjugation has been left for later: never.

    >>> import rushlight as torch
    >>> torch.is_conj(torch.ones(1))
    False
    """
    return False


@composite(method=True, samples=(S(t(2)),))
def is_neg(input: Any) -> bool:
    """Whether a negation has been left for later: never.

    >>> import rushlight as torch
    >>> torch.is_neg(torch.ones(1))
    False
    """
    return False


@composite(method=True, samples=(S(t(1)), S(t()), S(ti(1))))
def is_nonzero(input: Any) -> bool:
    """Whether the only element is not 0.

    Raises:
        RuntimeError: there is not exactly one element.

    >>> import rushlight as torch
    >>> torch.is_nonzero(torch.tensor([0.5]))
    True
    """
    return bool(input)
