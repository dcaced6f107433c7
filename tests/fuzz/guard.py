"""Memory for arrays with marks on both sides, so that native code that writes beside it is found.

NumPy is given an allocator that fills new memory with bytes that are not a number in any
floating-point type, puts 64 of them before and behind every block, and looks at them when the
block is given back. The allocator is machine code: it is called while Python is in no state to run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numpy._core import _multiarray_umath

MARK = 64
_BYTE = 0xFF

#: Place of ``PyDataMem_SetHandler`` in NumPy's table of C functions, part of its binary interface.
_SET_HANDLER = 304

_i8, _i64, _void = ir.IntType(8), ir.IntType(64), ir.VoidType()
_pointer = ir.PointerType(_i8)


class _Writer:
    """Writes the functions of the allocator into a module.

    A block lies between two marks; before the first one stand 64 bytes that begin with its size.
    """

    def __init__(self) -> None:
        self.module = ir.Module("guard")
        self.report = ir.GlobalVariable(self.module, ir.ArrayType(_i64, 3), "report")
        self.report.initializer = ir.Constant(self.report.value_type, None)
        self.external: dict[str, Any] = {}
        for name, result, parameters in (
            ("malloc", _pointer, [_i64]), ("free", _void, [_pointer]),
            ("memset", _pointer, [_pointer, ir.IntType(32), _i64]),
            ("memcpy", _pointer, [_pointer, _pointer, _i64]),
        ):  # fmt: skip
            kind = ir.FunctionType(result, parameters)
            self.external[name] = ir.Function(self.module, kind, name)
        self.new = self.write_new()
        self.give_back = self.write_free()
        self.write_zeros()
        self.write_change()

    def function(self, name: str, result: Any, parameters: list[Any]) -> tuple[Any, Any]:
        """A function of the context and these parameters, and where its code is written."""
        made = ir.Function(self.module, ir.FunctionType(result, [_pointer, *parameters]), name)
        return made, ir.IRBuilder(made.append_basic_block())

    def fill(self, code: Any, start: Any, byte: int, size: Any) -> None:
        code.call(self.external["memset"], [start, ir.IntType(32)(byte), size])

    def write_new(self) -> Any:
        made, code = self.function("guard_malloc", _pointer, [_i64])
        total = code.add(made.args[1], _i64(3 * MARK))
        start = code.call(self.external["malloc"], [total])
        self.fill(code, start, _BYTE, total)
        code.store(made.args[1], code.bitcast(start, ir.PointerType(_i64)))
        code.ret(code.gep(start, [_i64(2 * MARK)]))
        return made

    def write_zeros(self) -> None:
        made, code = self.function("guard_calloc", _pointer, [_i64, _i64])
        size = code.mul(made.args[1], made.args[2])
        start = code.call(self.new, [made.args[0], size])
        self.fill(code, start, 0, size)
        code.ret(start)

    def size_of(self, code: Any, block: Any) -> Any:
        head = code.gep(block, [_i64(-2 * MARK & (2**64 - 1))])
        return code.load(code.bitcast(head, ir.PointerType(_i64)), typ=_i64)

    def write_change(self) -> None:
        made, code = self.function("guard_realloc", _pointer, [_pointer, _i64])
        old, size = made.args[1], made.args[2]
        start = code.call(self.new, [made.args[0], size])
        there = code.icmp_unsigned("!=", code.ptrtoint(old, _i64), _i64(0))
        with code.if_then(there):
            before = self.size_of(code, old)
            less = code.select(code.icmp_unsigned("<", before, size), before, size)
            code.call(self.external["memcpy"], [start, old, less])
            code.call(self.give_back, [made.args[0], old, before])
        code.ret(start)

    def write_free(self) -> Any:
        made, code = self.function("guard_free", _void, [_pointer, _i64])
        block = made.args[1]
        with code.if_then(code.icmp_unsigned("!=", code.ptrtoint(block, _i64), _i64(0))):
            size = self.size_of(code, block)
            behind = code.gep(block, [size])
            before = code.gep(block, [_i64(-MARK & (2**64 - 1))])
            counts = [self.count(code, made, mark) for mark in (before, behind)]
            broken = code.icmp_unsigned("!=", code.add(*counts), _i64(0))
            with code.if_then(broken):
                for place, value in enumerate((*counts, size)):
                    where = [ir.IntType(32)(0), ir.IntType(32)(place)]
                    code.store(value, code.gep(self.report, where))
            code.call(self.external["free"], [code.gep(block, [_i64(-2 * MARK & (2**64 - 1))])])
        code.ret_void()
        return made

    def count(self, code: Any, function: Any, mark: Any) -> Any:
        """How many bytes of a mark have been written over."""
        entry = code.block
        loop, after = function.append_basic_block(), function.append_basic_block()
        code.branch(loop)
        code.position_at_end(loop)
        index, sofar = code.phi(_i64), code.phi(_i64)
        byte = code.load(code.gep(mark, [index]), typ=_i8)
        changed = code.zext(code.icmp_unsigned("!=", byte, _i8(_BYTE)), _i64)
        total, following = code.add(sofar, changed), code.add(index, _i64(1))
        for phi, value in ((index, following), (sofar, total)):
            phi.add_incoming(_i64(0), entry)
            phi.add_incoming(value, loop)
        code.cbranch(code.icmp_unsigned("<", following, _i64(MARK)), loop, after)
        code.position_at_end(after)
        return total


class _Handler(ctypes.Structure):
    """NumPy's description of an allocator."""

    _fields_ = [
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p), ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    ]  # fmt: skip


class Guard:
    """The allocator, and what it has found."""

    def __init__(self) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        module = binding.parse_assembly(str(_Writer().module))
        machine = binding.Target.from_default_triple().create_target_machine()
        engine = binding.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        # arrays may live longer than Python itself: neither code nor handler is ever freed
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
        new = ctypes.CDLL(None).malloc
        new.restype, new.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        address = new(ctypes.sizeof(_Handler))
        names = ("guard_malloc", "guard_calloc", "guard_realloc", "guard_free")
        functions = [engine.get_function_address(name) for name in names]
        ctypes.pointer(_Handler.from_address(address))[0] = _Handler(
            b"guarded", 1, None, *functions
        )
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype = ctypes.py_object
        capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.handler = capsule(address, b"mem_handler", None)
        self._report = (ctypes.c_int64 * 3).from_address(engine.get_global_value_address("report"))
        get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        get_pointer.restype = ctypes.c_void_p
        get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        table = ctypes.cast(
            get_pointer(_multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
        )
        exchange = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
        self.exchange = exchange(table[_SET_HANDLER])

    def look(self) -> list[str]:
        """What has been found since the last look, in words."""
        before, behind, size = self._report
        self._report[0] = self._report[1] = 0
        if not before and not behind:
            return []
        return [f"{before} bytes before and {behind} behind a block of {size} bytes were written"]


guard = Guard()


@contextmanager
def guarded() -> Iterator[Guard]:
    """Arrays made inside the block lie between marks, which are looked at when they are freed."""
    before = guard.exchange(guard.handler)
    try:
        yield guard
    finally:
        guard.exchange(before)


def handler() -> str:
    """The name of the allocator in use."""
    return str(np._core.multiarray.get_handler_name())
