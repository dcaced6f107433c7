"""Formulas over floating-point registers, written with operators: for the functions of mathematics.

Every operation is rounded by itself (no flags), so that tricks with rounding errors hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.writer import Writer, double_literal, float_literal

Number = float | int


class Real:
    """A register with a float32 or float64.

    Attributes:
        maths: the function it belongs to.
        register: its name.
    """

    __slots__ = ("maths", "register")

    def __init__(self, maths: Maths, register: str) -> None:
        self.maths = maths
        self.register = register

    def __add__(self, other: Real | Number) -> Real:
        return self.maths.binary("fadd", self, other)

    def __radd__(self, other: Number) -> Real:
        return self.maths.binary("fadd", other, self)

    def __sub__(self, other: Real | Number) -> Real:
        return self.maths.binary("fsub", self, other)

    def __rsub__(self, other: Number) -> Real:
        return self.maths.binary("fsub", other, self)

    def __mul__(self, other: Real | Number) -> Real:
        return self.maths.binary("fmul", self, other)

    def __rmul__(self, other: Number) -> Real:
        return self.maths.binary("fmul", other, self)

    def __truediv__(self, other: Real | Number) -> Real:
        return self.maths.binary("fdiv", self, other)

    def __rtruediv__(self, other: Number) -> Real:
        return self.maths.binary("fdiv", other, self)

    def __neg__(self) -> Real:
        maths = self.maths
        return Real(maths, maths.write(f"fneg {maths.kind} {self.register}"))

    def __lt__(self, other: Real | Number) -> Truth:
        return self.maths.compare("olt", self, other)

    def __gt__(self, other: Real | Number) -> Truth:
        return self.maths.compare("ogt", self, other)

    def equals(self, other: Real | Number) -> Truth:
        """Whether they are equal; not for NaN."""
        return self.maths.compare("oeq", self, other)

    def is_number(self) -> Truth:
        """Whether it is not NaN."""
        return self.maths.compare("ord", self, self)

    def size(self) -> Real:
        """Without its sign."""
        return self.maths.intrinsic("fabs", self)

    def sign_of(self, other: Real) -> Real:
        """With the sign of another one."""
        return self.maths.intrinsic("copysign", self, other)

    def bits(self) -> Whole:
        """Its bits as an integer."""
        maths = self.maths
        register = maths.write(f"bitcast {maths.kind} {self.register} to {maths.whole}")
        return Whole(maths, register)


class Whole:
    """A register with an integer as wide as the function's floating-point numbers."""

    __slots__ = ("maths", "register")

    def __init__(self, maths: Maths, register: str) -> None:
        self.maths = maths
        self.register = register

    def _binary(self, op: str, other: Whole | int) -> Whole:
        right = other.register if isinstance(other, Whole) else str(other)
        maths = self.maths
        return Whole(maths, maths.write(f"{op} {maths.whole} {self.register}, {right}"))

    def __add__(self, other: Whole | int) -> Whole:
        return self._binary("add", other)

    def __sub__(self, other: Whole | int) -> Whole:
        return self._binary("sub", other)

    def __and__(self, other: Whole | int) -> Whole:
        return self._binary("and", other)

    def __lshift__(self, count: int) -> Whole:
        return self._binary("shl", count)

    def __rshift__(self, count: int) -> Whole:
        return self._binary("ashr", count)

    def equals(self, other: Whole | int) -> Truth:
        """Whether they are equal."""
        right = other.register if isinstance(other, Whole) else str(other)
        maths = self.maths
        return Truth(maths, maths.write(f"icmp eq {maths.whole} {self.register}, {right}"))

    def as_real(self) -> Real:
        """The floating-point number with these bits."""
        maths = self.maths
        return Real(maths, maths.write(f"bitcast {maths.whole} {self.register} to {maths.kind}"))

    def to_real(self) -> Real:
        """The number as a floating-point one."""
        maths = self.maths
        return Real(maths, maths.write(f"sitofp {maths.whole} {self.register} to {maths.kind}"))


class Truth:
    """A register with a boolean."""

    __slots__ = ("maths", "register")

    def __init__(self, maths: Maths, register: str) -> None:
        self.maths = maths
        self.register = register

    def __and__(self, other: Truth) -> Truth:
        register = self.maths.write(f"and i1 {self.register}, {other.register}")
        return Truth(self.maths, register)

    def __invert__(self) -> Truth:
        return Truth(self.maths, self.maths.write(f"xor i1 {self.register}, true"))

    def choose(self, then: Real | Number, otherwise: Real | Number) -> Real:
        """One number where it holds, else the other."""
        maths = self.maths
        first, second = maths.text(then), maths.text(otherwise)
        kind = maths.kind
        chosen = f"select i1 {self.register}, {kind} {first}, {kind} {second}"
        return Real(maths, maths.write(chosen))

    def choose_whole(self, then: Whole | int, otherwise: Whole | int) -> Whole:
        """The same for integers."""
        maths, kind = self.maths, self.maths.whole
        first, second = (
            x.register if isinstance(x, Whole) else str(x) for x in (then, otherwise)
        )
        chosen = f"select i1 {self.register}, {kind} {first}, {kind} {second}"
        return Whole(maths, maths.write(chosen))


class Maths:
    """A function that is being written, over numbers of 32 or 64 bits.

    Attributes:
        size: 32 or 64.
        kind: ``float`` or ``double``.
        whole: the integer of that size.
    """

    def __init__(self, writer: Writer, shared: Shared, size: int) -> None:
        self.writer = writer
        self.shared = shared
        self.size = size
        self.kind = "float" if size == 32 else "double"
        self.whole = f"i{size}"
        self.write = writer.value

    def text(self, x: Real | Number) -> str:
        """The register or literal of a number."""
        if isinstance(x, Real):
            return x.register
        return float_literal(x) if self.size == 32 else double_literal(x)

    def binary(self, op: str, x: Real | Number, y: Real | Number) -> Real:
        """An instruction with two operands."""
        return Real(self, self.write(f"{op} {self.kind} {self.text(x)}, {self.text(y)}"))

    def compare(self, how: str, x: Real | Number, y: Real | Number) -> Truth:
        """A comparison by LLVM's name of it."""
        return Truth(self, self.write(f"fcmp {how} {self.kind} {self.text(x)}, {self.text(y)}"))

    def intrinsic(self, name: str, *args: Real | Number) -> Real:
        """One of LLVM's own functions."""
        function = self.shared.declare(
            f"llvm.{name}.f{self.size}", self.kind, *[self.kind] * len(args)
        )
        passed = ", ".join(f"{self.kind} {self.text(x)}" for x in args)
        return Real(self, self.write(f"call {self.kind} {function}({passed})"))

    def fused(self, x: Real | Number, y: Real | Number, z: Real | Number) -> Real:
        """``x y + z``, rounded once where the processor can."""
        return self.intrinsic("fmuladd", x, y, z)

    def exactly_fused(self, x: Real | Number, y: Real | Number, z: Real | Number) -> Real:
        """``x y + z``, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def polynomial(self, x: Real, coefficients: Sequence[float]) -> Real:
        """A polynomial by Horner's rule; the constant coefficient comes first."""
        total: Real | float = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            total = self.fused(total, x, coefficient)
        assert isinstance(total, Real)
        return total

    def at_most(self, x: Real, limit: float) -> Real:
        """The smaller one; NaN stays."""
        return self.compare("olt", limit, x).choose(limit, x)

    def at_least(self, x: Real, limit: float) -> Real:
        """The larger one; NaN stays."""
        return self.compare("ogt", limit, x).choose(limit, x)

    def widened(self, x: Real) -> Real:
        """A float32 of another function-in-writing as float64 of this one."""
        return Real(self, self.write(f"fpext float {x.register} to double"))


def define(
    name: str, size: int, count: int, body: Callable[..., Real], shared: Shared
) -> str:
    """The text of a function that is always put in the place of its call.

    Args:
        name: its name.
        size: 32 or 64: the type of its arguments and result.
        count: the number of its arguments.
        body: ``body(maths, *arguments)``.
        shared: what the module has besides.
    """
    kind = "float" if size == 32 else "double"
    names = [f"%x{k}" for k in range(count)]
    arguments = ", ".join(f"{kind} {argument}" for argument in names)
    writer = Writer(f"define internal {kind} @{name}({arguments}) #1")
    maths = Maths(writer, shared, size)
    result = body(maths, *(Real(maths, argument) for argument in names))
    writer.line(f"ret {kind} {result.register}")
    return writer.text()
