"""Data types, their promotion rules and their NumPy counterparts."""

from __future__ import annotations

from typing import Final

import ml_dtypes
import numpy as np

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)


class dtype:
    """A data type such as ``torch.float32``; every type exists once and is compared by identity.

    >>> import rushlight as torch
    >>> torch.float32.itemsize, torch.float32.is_floating_point
    (4, True)
    """

    __slots__ = (
        "_name",
        "category",
        "index",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "numpy",
    )

    def __init__(self, name: str, numpy: object, category: int, index: int) -> None:
        self._name = name
        self.numpy: np.dtype = np.dtype(numpy)  # type: ignore[call-overload]
        self.category = category
        self.index = index
        self.itemsize: int = self.numpy.itemsize
        self.is_floating_point = category == FLOATING
        self.is_complex = category == COMPLEX
        self.is_signed = category != BOOL and not name.startswith("uint")

    def __repr__(self) -> str:
        return "torch." + self._name

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return dtype_by_name, (self._name,)

    @property
    def name(self) -> str:
        """The name without the module: ``'float32'``."""
        return self._name

    def to_complex(self) -> dtype:
        """The complex type with this type's precision."""
        return complex128 if self is float64 or self is complex128 else complex64

    def to_real(self) -> dtype:
        """The real type with this type's precision."""
        return REAL_OF.get(self, self)


def _make(name: str, numpy: object, category: int) -> dtype:
    made = dtype(name, numpy, category, len(BY_NAME))
    BY_NAME[name] = made
    return made


BY_NAME: Final[dict[str, dtype]] = {}

uint8 = _make("uint8", np.uint8, INTEGRAL)
int8 = _make("int8", np.int8, INTEGRAL)
int16 = _make("int16", np.int16, INTEGRAL)
int32 = _make("int32", np.int32, INTEGRAL)
int64 = _make("int64", np.int64, INTEGRAL)
float16 = _make("float16", np.float16, FLOATING)
float32 = _make("float32", np.float32, FLOATING)
float64 = _make("float64", np.float64, FLOATING)
complex64 = _make("complex64", np.complex64, COMPLEX)
complex128 = _make("complex128", np.complex128, COMPLEX)
bool_ = _make("bool", np.bool_, BOOL)
bfloat16 = _make("bfloat16", ml_dtypes.bfloat16, FLOATING)
uint16 = _make("uint16", np.uint16, INTEGRAL)
uint32 = _make("uint32", np.uint32, INTEGRAL)
uint64 = _make("uint64", np.uint64, INTEGRAL)
float8_e4m3fn = _make("float8_e4m3fn", ml_dtypes.float8_e4m3fn, FLOATING)
float8_e5m2 = _make("float8_e5m2", ml_dtypes.float8_e5m2, FLOATING)

#: Names that mean the same type, as PyTorch spells them.
ALIASES: Final[dict[str, dtype]] = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
}

#: The words PyTorch uses for a type in error messages ("Float", "Long", ...).
SCALAR_NAMES: Final[dict[dtype, str]] = {
    uint8: "Byte", int8: "Char", int16: "Short", int32: "Int", int64: "Long",
    float16: "Half", float32: "Float", float64: "Double", bool_: "Bool", bfloat16: "BFloat16",
    complex64: "ComplexFloat", complex128: "ComplexDouble",
    uint16: "UInt16", uint32: "UInt32", uint64: "UInt64",
    float8_e4m3fn: "Float8_e4m3fn", float8_e5m2: "Float8_e5m2",
}  # fmt: skip

#: The spelling in "not implemented for" and matmul messages ("float", "long int", ...).
C_NAMES: Final[dict[dtype, str]] = {
    uint8: "unsigned char", int8: "signed char", int16: "short", int32: "int",
    int64: "long long", float16: "c10::Half", float32: "float", float64: "double",
    bool_: "bool", bfloat16: "c10::BFloat16", complex64: "c10::complex<float>",
    complex128: "c10::complex<double>",
}  # fmt: skip

REAL_OF: Final[dict[dtype, dtype]] = {complex64: float32, complex128: float64}

_BY_NUMPY: Final[dict[np.dtype, dtype]] = {d.numpy: d for d in BY_NAME.values()}


def dtype_by_name(name: str) -> dtype:
    """The type called ``name`` (the way a pickled type finds itself again)."""
    return BY_NAME[name]


def from_numpy_dtype(numpy_dtype: np.dtype) -> dtype:
    """The type of arrays of ``numpy_dtype``; ``TypeError`` in PyTorch's words where none fits."""
    found = _BY_NUMPY.get(numpy_dtype)
    if found is None and not numpy_dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    if found is None:
        name = "numpy." + numpy_dtype.type.__name__
        raise TypeError(
            f"can't convert np.ndarray of type {name}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
            "uint16, uint8, and bool."
        )
    return found


class _Defaults:
    """The type new floating-point tensors get when nobody says which."""

    __slots__ = ("floating",)

    def __init__(self) -> None:
        self.floating = float32


_defaults = _Defaults()


def get_default_dtype() -> dtype:
    """The type of floating-point tensors made without a ``dtype``.

    >>> import rushlight as torch
    >>> torch.get_default_dtype()
    torch.float32
    """
    return _defaults.floating


def set_default_dtype(d: dtype) -> None:
    """Set the type of floating-point tensors made without a ``dtype``.

    >>> import rushlight as torch
    >>> torch.set_default_dtype(torch.float32)
    """
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object")
    if not d.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type, but got {d}"
        )
    _defaults.floating = d


def default_complex() -> dtype:
    """The complex type that goes with the default floating-point type."""
    return _defaults.floating.to_complex()


def _promote_integral(a: dtype, b: dtype) -> dtype:
    if b.is_signed and not a.is_signed:
        a, b = b, a
    if a.is_signed == b.is_signed:
        return a if a.itemsize >= b.itemsize else b
    # a signed, b unsigned: the smallest signed type that holds both; 64-bit unsigned has none
    if b.itemsize < a.itemsize:
        return a
    if b.itemsize >= 8 or b in (uint16, uint32):
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, "
            f"attempted to promote {SCALAR_NAMES[a]} and {SCALAR_NAMES[b]}"
        )
    return {1: int16, 2: int32, 4: int64}[b.itemsize]


def _promote_floating(a: dtype, b: dtype) -> dtype:
    if a.itemsize != b.itemsize:
        return a if a.itemsize > b.itemsize else b
    if a.itemsize == 1:
        raise RuntimeError(
            f"Promotion for Float8 Types is not supported, attempted to promote "
            f"{SCALAR_NAMES[a]} and {SCALAR_NAMES[b]}"
        )
    return float32  # float16 with bfloat16


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a.category > b.category:
        a, b = b, a
    if a.category < b.category:
        if b.category != COMPLEX or a.category != FLOATING:
            return b
        return complex128 if a is float64 or b is complex128 else complex64
    if a.category == COMPLEX:
        return complex128
    return _promote_floating(a, b) if a.category == FLOATING else _promote_integral(a, b)


_promotions: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type both types convert to without changing kind.

    >>> import rushlight as torch
    >>> torch.promote_types(torch.int32, torch.float16)
    torch.float16
    """
    found = _promotions.get((type1, type2))
    if found is None:
        found = _promotions[type1, type2] = _promote(type1, type2)
    return found


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of type ``from_`` may be stored into a tensor of type ``to``.

    >>> import rushlight as torch
    >>> torch.can_cast(torch.double, torch.float), torch.can_cast(torch.float, torch.int)
    (True, False)
    """
    return from_.category <= to.category
