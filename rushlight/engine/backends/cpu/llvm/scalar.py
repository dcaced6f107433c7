"""From scalar expressions to instructions.

An expression object stands for one value: within a list of statements it is computed once, where
it is first used, and keeps that value even if the memory it was loaded from is written later.
Inside a loop everything may be computed anew; what does not change there, LLVM moves out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rushlight.engine.backends.cpu.llvm.library import LIBM, Shared
from rushlight.engine.backends.cpu.llvm.writer import (
    Writer,
    literal,
    memory_type,
    register_type,
)
from rushlight.engine.core.dtype import BOOL, FLOATING, bool_, dtype, int32, int64
from rushlight.engine.ir.loops import Accumulator, Buffer, Index, Loop
from rushlight.engine.ir.scalar import Expr

#: Flags of floating-point instructions: a product and a sum may become one instruction.
FLAGS: Final = "contract "

_FLOAT_ARITHMETIC: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_BOOLEAN_ARITHMETIC: Final = {
    "add": "or", "sub": "xor", "mul": "and", "minimum": "and", "maximum": "or", "div": "and",
}  # fmt: skip
_ROUNDING: Final = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven"}
_PREDICATES: Final = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}


class Scalars:
    """Writes expressions into a function.

    Attributes:
        writer: the function.
        shared: what the module has besides.
        buffers: the register with the address of each buffer.
        numbers: the register of each scalar argument, with its type.
        loops: the register of each loop variable that is running.
        accumulators: the variable of each accumulator.
    """

    def __init__(self, writer: Writer, shared: Shared) -> None:
        self.writer = writer
        self.shared = shared
        self.buffers: dict[Buffer, str] = {}
        self.numbers: list[tuple[str, dtype]] = []
        self.loops: dict[Loop, str] = {}
        self.accumulators: dict[Accumulator, str] = {}
        self._scopes: list[dict[object, str]] = [{}]
        self._special: dict[str, Callable[[Expr], str]] = {
            "const": lambda e: literal(e.extra, e.dtype),
            "cast": lambda e: self.cast(self._get(e.args[0]), e.args[0].dtype, e.dtype),
            "where": self._where,
            "load": lambda e: self.load(*e.extra),
            "scalar": self._number,
            "loop": lambda e: self.loops[e.extra],
            "bits": self._bits,
            "rounded": self._rounded,
        }

    # scopes ------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin a list of statements inside the present one."""
        self._scopes.append({})

    def leave(self) -> None:
        """End the list of statements begun last."""
        self._scopes.pop()

    def _known(self, key: object) -> str | None:
        for scope in self._scopes:
            found = scope.get(key)
            if found is not None:
                return found
        return None

    def _get(self, expr: Expr) -> str:
        if expr.op == "accumulator":
            kind = register_type(expr.dtype)
            return self.writer.value(f"load {kind}, ptr {self.accumulators[expr.extra]}")
        found = self._known(expr)
        assert found is not None
        return found

    def emit(self, root: Expr) -> str:
        """The register or literal that holds an expression's value."""
        stack = [(root, False)]
        while stack:
            expr, ready = stack.pop()
            if expr.op == "accumulator" or self._known(expr) is not None:
                continue
            if ready:
                self._scopes[-1][expr] = self._compute(expr)
                continue
            stack.append((expr, True))
            stack.extend((arg, False) for arg in reversed(expr.args))
            if expr.op == "load":
                stack.extend((part, False) for part, _ in expr.extra[1].dynamic)
        return self._get(root)

    # memory ------------------------------------------------------------------------------------

    def address(self, buffer: Buffer, index: Index) -> str:
        """The address of an element; dynamic parts of the index must have been computed."""
        writer = self.writer
        total, offset = "", index.offset
        for loop, stride in index.terms:
            register = self.loops[loop]
            if register.startswith("%"):
                total = self._plus(total, self._product(loop, register, stride))
            else:  # a turn that is written out
                offset += int(register) * stride
        for expr, stride in index.dynamic:
            total = self._plus(total, self._product(expr, self._get(expr), stride))
        if offset or not total:
            total = self._plus(total, str(offset))
        kind = memory_type(buffer.dtype)
        base = self.buffers[buffer]
        if total == "0":
            return base
        return writer.value(f"getelementptr inbounds {kind}, ptr {base}, i64 {total}")

    def _plus(self, total: str, part: str) -> str:
        return self.writer.value(f"add nsw i64 {total}, {part}") if total else part

    def _product(self, what: object, register: str, stride: int) -> str:
        if stride == 1:
            return register
        key = (what, stride)
        found = self._known(key)
        if found is None:
            found = self.writer.value(f"mul nsw i64 {register}, {stride}")
            if not (isinstance(what, Expr) and what.op == "accumulator"):
                self._scopes[-1][key] = found
        return found

    def load(self, buffer: Buffer, index: Index) -> str:
        """Load an element, in the type it is computed in."""
        kind = buffer.dtype
        place = self.address(buffer, index)
        size = kind.itemsize
        raw = self.writer.value(f"load {memory_type(kind)}, ptr {place}, align {size}")
        if kind.category == BOOL:
            return self.writer.value(f"icmp ne i8 {raw}, 0")
        if kind.name in ("float16", "bfloat16"):
            return self._from_half(raw, kind)
        return raw

    def store(self, buffer: Buffer, index: Index, register: str) -> None:
        """Store a value of the type that the buffer's elements are computed in."""
        kind = buffer.dtype
        place = self.address(buffer, index)
        if kind.category == BOOL:
            register = self.writer.value(f"zext i1 {register} to i8")
        elif kind.name == "float16":
            register = self.writer.value(f"fptrunc float {register} to half")
        elif kind.name == "bfloat16":
            register = self._to_bfloat16(register)
        size = kind.itemsize
        self.writer.line(f"store {memory_type(kind)} {register}, ptr {place}, align {size}")

    def _rounded(self, expr: Expr) -> str:
        """What storing a float32 in a half type and loading it again gives."""
        register, kind = self._get(expr.args[0]), expr.extra
        if kind.name == "float16":
            register = self.writer.value(f"fptrunc float {register} to half")
        else:
            register = self._to_bfloat16(register)
        return self._from_half(register, kind)

    def _from_half(self, register: str, kind: dtype) -> str:
        """A half type as it is in memory, as float32."""
        if kind.name == "float16":
            return self.writer.value(f"fpext half {register} to float")
        wide = self.writer.value(f"zext i16 {register} to i32")
        high = self.writer.value(f"shl i32 {wide}, 16")
        return self.writer.value(f"bitcast i32 {high} to float")

    def _to_bfloat16(self, register: str) -> str:
        """Round to nearest, ties to even. The processor's own instruction loses subnormals."""
        write = self.writer.value
        raw = write(f"bitcast float {register} to i32")
        high = write(f"lshr i32 {raw}, 16")
        odd = write(f"and i32 {high}, 1")
        bias = write(f"add i32 {odd}, 32767")
        up = write(f"add i32 {raw}, {bias}")
        near = write(f"lshr i32 {up}, 16")
        quiet = write(f"or i32 {high}, 64")
        nan = write(f"fcmp uno float {register}, {register}")
        chosen = write(f"select i1 {nan}, i32 {quiet}, i32 {near}")
        return write(f"trunc i32 {chosen} to i16")

    # operations --------------------------------------------------------------------------------

    def _compute(self, expr: Expr) -> str:
        special = self._special.get(expr.op)
        if special is not None:
            return special(expr)
        args = [self._get(arg) for arg in expr.args]
        kind = expr.args[0].dtype
        if expr.op in _PREDICATES:
            return self._compare(expr.op, kind, *args)
        if expr.op in ("shl", "shr"):
            return self._shift(expr, args)
        return self.apply(expr.op, kind, *args)

    def apply(self, op: str, kind: dtype, *args: str, flags: str = FLAGS) -> str:
        """An operation whose operands and result are of one type.

        Raises:
            ValueError: no such operation on this type.
        """
        name = register_type(kind)
        if op in ("and", "or", "xor") and kind.category != FLOATING:
            return self.writer.value(f"{op} {name} {args[0]}, {args[1]}")
        if kind.category == FLOATING:
            return self._float(op, kind, name, flags, *args)
        if kind.category == BOOL:
            return self._boolean(op, *args)
        return self._integer(op, kind, name, *args)

    def _float(self, op: str, kind: dtype, name: str, flags: str, *args: str) -> str:
        write = self.writer.value
        if op in _FLOAT_ARITHMETIC:
            return write(f"{_FLOAT_ARITHMETIC[op]} {flags}{name} {args[0]}, {args[1]}")
        if op == "neg":
            return write(f"fneg {flags}{name} {args[0]}")
        if op in ("minimum", "maximum"):
            return self._extreme(op, kind, name, *args)
        if op == "isnan":
            return write(f"fcmp uno {name} {args[0]}, {args[0]}")
        if op in ("abs", "sqrt", "copysign") or op in _ROUNDING:
            return self._intrinsic({"abs": "fabs"}.get(op, _ROUNDING.get(op, op)), kind, *args)
        size = kind.itemsize * 8
        own = f"rushlight.{op}.f{size}"
        arguments = ", ".join(f"{name} {arg}" for arg in args)
        if self.shared.has(own):
            return write(f"call {name} {self.shared.helper(own)}({arguments})")
        if op not in LIBM:
            raise ValueError(f"no operation {op!r} on {kind.name}")
        outside = op if size == 64 else f"{op}f"
        function = self.shared.outside(outside, name, *[name] * len(args))
        return write(f"call {name} {function}({arguments})")

    def _intrinsic(self, name: str, kind: dtype, *args: str) -> str:
        size = kind.itemsize * 8
        register = register_type(kind)
        full = f"llvm.{name}.{'f' if kind.category == FLOATING else 'i'}{size}"
        function = self.shared.declare(full, register, *[register] * len(args))
        return self.writer.value(
            f"call {register} {function}({', '.join(f'{register} {arg}' for arg in args)})"
        )

    def _extreme(self, op: str, kind: dtype, name: str, x: str, y: str) -> str:
        """NaN where one operand is; one instruction where one operand is a number known now."""
        write = self.writer.value
        if x.startswith("0x"):
            x, y = y, x
        if y.startswith("0x") and not y.startswith(("0x7FF8", "0xFFF8")):
            # Comparing in this order keeps a NaN in x, as the processor's instruction does.
            sign = "ogt" if op == "maximum" else "olt"
            holds = write(f"fcmp {sign} {name} {y}, {x}")
            return write(f"select i1 {holds}, {name} {y}, {name} {x}")
        full = f"llvm.{op}.f{kind.itemsize * 8}"
        function = self.shared.declare(full, name, name, name)
        return write(f"call nsz {name} {function}({name} {x}, {name} {y})")

    def _boolean(self, op: str, *args: str) -> str:
        if op == "not":
            return self.writer.value(f"xor i1 {args[0]}, true")
        if op in _BOOLEAN_ARITHMETIC:
            return self.writer.value(f"{_BOOLEAN_ARITHMETIC[op]} i1 {args[0]}, {args[1]}")
        if op == "isnan":
            return "false"
        if op in ("abs", "neg") or op in _ROUNDING:
            return args[0]
        raise ValueError(f"no operation {op!r} on bool")

    def _integer(self, op: str, kind: dtype, name: str, *args: str) -> str:
        write = self.writer.value
        if op in ("add", "sub", "mul"):
            return write(f"{op} {name} {args[0]}, {args[1]}")
        if op == "neg":
            return write(f"sub {name} 0, {args[0]}")
        if op == "not":
            return write(f"xor {name} {args[0]}, -1")
        if op == "isnan":
            return "false"
        if op in _ROUNDING:
            return args[0]
        if op == "abs":
            if not kind.is_signed:
                return args[0]
            function = self.shared.declare(f"llvm.abs.{name}", name, name, "i1")
            return write(f"call {name} {function}({name} {args[0]}, i1 false)")
        if op in ("minimum", "maximum"):
            short = ("s" if kind.is_signed else "u") + op[:3]
            return self._intrinsic(short, kind, *args)
        if op in ("quotient", "rest", "div", "fmod"):
            return self._divide(op, kind, name, *args)
        raise ValueError(f"no operation {op!r} on {kind.name}")

    def _divide(self, op: str, kind: dtype, name: str, x: str, y: str) -> str:
        """Division by zero gives zero, as in NumPy; it must not stop the process."""
        write = self.writer.value
        signed = op in ("div", "fmod") and kind.is_signed
        rest = op in ("rest", "fmod")
        short = ("s" if signed else "u") + ("rem" if rest else "div")
        if y.lstrip("-").isdigit() and y not in ("0", "-1"):
            return write(f"{short} {name} {x}, {y}")
        bad = write(f"icmp eq {name} {y}, 0")
        if signed:  # the smallest number divided by -1 stops the process as well
            minus = write(f"icmp eq {name} {y}, -1")
            safe = write(f"select i1 {minus}, {name} 1, {name} {y}")
        else:
            safe = y
        safe = write(f"select i1 {bad}, {name} 1, {name} {safe}")
        result = write(f"{short} {name} {x}, {safe}")
        if signed and not rest:
            negative = write(f"sub {name} 0, {x}")
            result = write(f"select i1 {minus}, {name} {negative}, {name} {result}")
        return write(f"select i1 {bad}, {name} 0, {name} {result}")

    def _shift(self, expr: Expr, args: list[str]) -> str:
        """By the width or more, or by a negative number: all bits go, as in NumPy."""
        write = self.writer.value
        kind = expr.dtype
        name = register_type(kind)
        width = kind.itemsize * 8
        if kind.category != BOOL and expr.args[1].dtype.itemsize > kind.itemsize:
            amount_kind = expr.args[1].dtype
            known = self._clamped(args[1], amount_kind, width)
            args[1] = self.cast(known, amount_kind, kind)
        else:
            args[1] = self.cast(args[1], expr.args[1].dtype, kind)
        x, amount = args
        left = expr.op == "shl"
        instruction = "shl" if left else "ashr" if kind.is_signed else "lshr"
        if amount.isdigit() and int(amount) < width:
            return write(f"{instruction} {name} {x}, {amount}")
        inside = write(f"icmp ult {name} {amount}, {width}")
        safe = write(f"select i1 {inside}, {name} {amount}, {name} {width - 1}")
        shifted = write(f"{instruction} {name} {x}, {safe}")
        if instruction == "ashr":
            return shifted
        return write(f"select i1 {inside}, {name} {shifted}, {name} 0")

    def _clamped(self, amount: str, kind: dtype, width: int) -> str:
        name = register_type(kind)
        inside = self.writer.value(f"icmp ult {name} {amount}, {width}")
        return self.writer.value(f"select i1 {inside}, {name} {amount}, {name} {width}")

    def _compare(self, op: str, kind: dtype, x: str, y: str) -> str:
        name = register_type(kind)
        if kind.category == FLOATING:
            return self.writer.value(f"fcmp {_PREDICATES[op]} {name} {x}, {y}")
        order = "" if op in ("eq", "ne") else "s" if kind.is_signed else "u"
        return self.writer.value(f"icmp {order}{op} {name} {x}, {y}")

    def _where(self, expr: Expr) -> str:
        condition, then, otherwise = (self._get(arg) for arg in expr.args)
        test = expr.args[0].dtype
        if test is not bool_:
            condition = self.cast(condition, test, bool_)
        name = register_type(expr.dtype)
        return self.writer.value(f"select i1 {condition}, {name} {then}, {name} {otherwise}")

    def _number(self, expr: Expr) -> str:
        register, kind = self.numbers[expr.extra]
        return self.cast(register, kind, expr.dtype)

    def _bits(self, expr: Expr) -> str:
        before, after = register_type(expr.args[0].dtype), register_type(expr.dtype)
        inner = self._get(expr.args[0])
        return inner if before == after else self.writer.value(
            f"bitcast {before} {inner} to {after}"
        )

    # conversions -------------------------------------------------------------------------------

    def cast(self, register: str, before: dtype, after: dtype) -> str:
        """Convert as C does; to a boolean: whether it is not zero."""
        source, target = register_type(before), register_type(after)
        if before is after:
            return register
        if after.category == BOOL:
            sign = "fcmp une" if before.category == FLOATING else "icmp ne"
            zero = "0.0" if before.category == FLOATING else "0"
            return self.writer.value(f"{sign} {source} {register}, {zero}")
        if before.category == FLOATING:
            if after.category == FLOATING:
                how = "fpext" if after.itemsize > before.itemsize else "fptrunc"
                return self.writer.value(f"{how} {source} {register} to {target}")
            return self._truncated(register, source, after)
        if after.category == FLOATING:
            signed = before.is_signed and before.category != BOOL
            how = "sitofp" if signed else "uitofp"
            return self.writer.value(f"{how} {source} {register} to {target}")
        if source == target:
            return register
        if before.category != BOOL and after.itemsize < before.itemsize:
            return self.writer.value(f"trunc {source} {register} to {target}")
        how = "sext" if before.is_signed and before.category != BOOL else "zext"
        return self.writer.value(f"{how} {source} {register} to {target}")

    def _truncated(self, register: str, source: str, after: dtype) -> str:
        """A small integer is cut out of a larger one, so -1.0 becomes 255 as it does in C."""
        write = self.writer.value
        size = after.itemsize
        if size == 8 and not after.is_signed:
            return write(f"freeze i64 {write(f'fptoui {source} {register} to i64')}")
        wide = int32 if size < 4 or (size == 4 and after.is_signed) else int64
        name = register_type(wide)
        # What does not fit is any number, always the same; without "freeze" it may spoil more.
        whole = write(f"freeze {name} {write(f'fptosi {source} {register} to {name}')}")
        if wide.itemsize == size:
            return whole
        return write(f"trunc {name} {whole} to {register_type(after)}")
