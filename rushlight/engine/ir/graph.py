"""What a program computes: values, what is known of them before they are computed, and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rushlight.engine.core.device import CPU, device
from rushlight.engine.core.dtype import bool_, complex128, dtype, float64, int64
from rushlight.engine.core.shape import Shape, Size, contiguous_strides, is_contiguous


class Meta:
    """Shape, strides, type and device of a value; equal ones are the same object.

    ``weak`` marks a Python number, which takes part in type promotion by its kind alone.
    """

    __slots__ = ("contiguous", "device", "dtype", "ndim", "numel", "shape", "strides", "weak")

    shape: Size
    strides: Shape
    dtype: dtype
    device: device
    ndim: int
    numel: int
    contiguous: bool
    weak: bool

    def __repr__(self) -> str:
        kind = "number " if self.weak else ""
        layout = "" if self.contiguous else f" strides {self.strides}"
        return f"<{kind}{self.dtype.name}{list(self.shape)}{layout}>"

    def like(self, shape: Shape | None = None, dtype: Any = None) -> Meta:
        """A contiguous value of another shape or type on the same device."""
        return make_meta(self.shape if shape is None else shape, dtype or self.dtype, self.device)

    def with_dtype(self, dtype: Any) -> Meta:
        """The same layout with another type."""
        return strided_meta(self.shape, self.strides, dtype, self.device)

    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes."""
        return self.numel * self.dtype.itemsize


_metas: dict[tuple[Any, ...], Meta] = {}


def _new_meta(key: tuple[Any, ...], weak: bool) -> Meta:
    made = object.__new__(Meta)
    shape, made.strides, made.dtype, made.device = key[:4]
    made.shape = Size(shape)
    made.ndim = len(shape)
    made.numel = made.shape.numel()
    made.contiguous = is_contiguous(shape, made.strides)
    made.weak = weak
    return _metas.setdefault(key, made)


def strided_meta(shape: Shape, strides: Shape, dtype: dtype, device: device = CPU) -> Meta:
    """The meta of a value with these strides (in elements)."""
    key = (shape, strides, dtype, device)
    return _metas.get(key) or _new_meta(key, False)


def make_meta(shape: Shape, dtype: dtype, device: device = CPU) -> Meta:
    """The meta of a contiguous value."""
    key = (shape, dtype, device)
    found = _metas.get(key)
    if found is None:
        if shape.__class__ is not tuple:
            shape = tuple(shape)
        found = _metas[key] = strided_meta(shape, contiguous_strides(shape), dtype, device)
    return found


def forget_metas(keep: int) -> None:
    """Drop the table of metas when it has outgrown ``keep`` entries.

    Metas in use stay valid; a new equal one compares different from them, which costs a second
    record of the programs concerned and nothing else. The weak metas below stay the same objects.
    """
    if len(_metas) > keep:
        _metas.clear()


WEAK_BOOL = _new_meta(((), (), bool_, CPU, "weak"), True)
WEAK_INT = _new_meta(((), (), int64, CPU, "weak"), True)
WEAK_FLOAT = _new_meta(((), (), float64, CPU, "weak"), True)
WEAK_COMPLEX = _new_meta(((), (), complex128, CPU, "weak"), True)

#: The metas of the numbers given to a captured rule: what is computed from them alone is a
#: number again, in double precision, so that it does not decide the type of a tensor.
RULE_INT = _new_meta(((), (), int64, CPU, "rule"), True)
RULE_FLOAT = _new_meta(((), (), float64, CPU, "rule"), True)
RULE_METAS: dict[type, Meta] = {float: RULE_FLOAT, int: RULE_INT, bool: RULE_INT}

#: Which weak meta a Python number gets.
WEAK_METAS: dict[type, Meta] = {
    float: WEAK_FLOAT,
    int: WEAK_INT,
    bool: WEAK_BOOL,
    complex: WEAK_COMPLEX,
}


class Value:
    """What a node computes, or an input of a trace: immutable.

    ``pos`` is its place in the current trace (-1: in none; ``SHARED``: its buffer is memory that
    others write to, so it is copied whenever it is read). ``buffer`` is a NumPy array once the
    value has been computed, a Python number for a weak value, or ``None`` while it is pending.
    """

    __slots__ = ("__weakref__", "buffer", "meta", "pos")

    meta: Meta
    pos: int
    buffer: Any

    def __init__(self, meta: Meta, pos: int = -1, buffer: Any = None) -> None:
        self.meta = meta
        self.pos = pos
        self.buffer = buffer

    def __repr__(self) -> str:
        state = "pending" if self.buffer is None else "ready"
        return f"<Value {self.meta!r} {state} at {self.pos}>"


SHARED = -2


class Returned:
    """Values whose memory others could write to for a while: what they hold may have changed.

    Attributes:
        count: how often that has happened.
        last: for each value the count when it last happened.
    """

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last: WeakKeyDictionary[Value, int] = WeakKeyDictionary()

    def add(self, value: Value) -> None:
        """Nobody outside holds the memory of ``value`` any more."""
        self.count += 1
        self.last[value] = self.count


returned = Returned()


class TensorBase:
    """The state of a tensor that the engine works on; the public class adds the methods.

    ``_value`` is its newest value. ``_alias`` is the storage it shares with other tensors, or
    ``None`` while it is alone (then ``_value`` is all there is). ``_edge`` says where its gradient
    goes: ``(node, number of the output)``, or ``None`` where no gradient is wanted.
    Class-level defaults keep the making of a tensor cheap.
    """

    _value: Value
    _alias: Any = None
    _edge: Any = None
    _version_count: int = 0
    _former: Any = None  # after ``x.t_()``: what x was to the views taken from it before

    if TYPE_CHECKING:  # what the public class adds, for code that works on any tensor

        def __getattr__(self, name: str) -> Any: ...

        def __sub__(self, other: Any) -> Any: ...

        def __lt__(self, other: Any) -> Any: ...
