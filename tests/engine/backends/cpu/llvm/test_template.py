"""Modules that differ in numbers alone share their code."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from rushlight.engine.backends.cpu.llvm import jit, store, template
from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.backends.cpu.llvm.template import Fitted, Templates
from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.loops import Buffer, For, Index, Kernel, Loop, Store, load
from rushlight.engine.ir.plan import KernelCall, Place, Plan
from rushlight.engine.ir.scalar import const

MODULE = """define void @f(ptr %x) #0 {{
entry:
  %a = getelementptr float, ptr %x, i64 {0}
  store float 0x3FF0000000000000, ptr %a, align {1}
  ret void
}}

define void @g(ptr %x) #0 {{
entry:
  %v0 = load i64, ptr %x
  %v1 = icmp eq i64 %v0, {2}
  ret void
}}
"""


def test_the_first_stands_for_itself_and_the_second_reads_what_differs() -> None:
    templates = Templates()
    first = MODULE.format(3, 4, 7)
    assert templates.fit(first) == Fitted(first)
    second = templates.fit(MODULE.format(5, 4, 7))
    assert second.numbers == (("i64", "5"),)
    third = templates.fit(MODULE.format(6, 4, 9))
    assert third.numbers == (("i64", "6"), ("i64", "9"))
    assert third.text != second.text
    head, f, g = third.text.split("define void")
    assert f"@{template.TABLE} = global [2 x i64]" in head
    assert "entry:\n  %number.0 = load i64, ptr getelementptr (i64" in f
    assert "ptr %x, i64 %number.0\n" in f
    assert "entry:\n  %number.1 = load i64" in g
    assert "icmp eq i64 %v0, %number.1\n" in g
    again = templates.fit(MODULE.format(8, 4, 1))
    assert again == Fitted(third.text, (("i64", "8"), ("i64", "1")))
    assert templates.fit(first) == Fitted(first)


def test_what_no_register_can_stand_for_is_compiled_for_itself() -> None:
    templates = Templates()
    templates.fit(MODULE.format(3, 4, 7))
    aligned = MODULE.format(3, 8, 7)
    assert templates.fit(aligned) == Fitted(aligned)


def test_another_skeleton_is_another_family() -> None:
    templates = Templates()
    templates.fit(MODULE.format(3, 4, 7))
    other = MODULE.format(5, 4, 7).replace("icmp eq", "icmp slt")
    assert templates.fit(other) == Fitted(other)


def test_old_families_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "REMEMBERED", 1)
    templates = Templates()
    first, second = MODULE.format(3, 4, 7), MODULE.format(5, 4, 7)
    templates.fit(first)
    templates.fit(first.replace("icmp eq", "icmp slt"))
    assert templates.fit(second) == Fitted(second)


def test_numbers_of_every_kind_are_written() -> None:
    table = (ctypes.c_uint64 * 4)()
    numbers = (
        ("i64", "-5"), ("i32", "-7"), ("float", "0x3FB99999A0000000"),
        ("double", "0x3FB999999999999A"),
    )  # fmt: skip
    template.fill(ctypes.addressof(table), numbers)
    data = np.frombuffer(table, np.uint8)
    assert data[:8].view(np.int64)[0] == -5
    assert data[8:12].view(np.int32)[0] == -7
    assert data[16:20].view(np.float32)[0] == np.float32(0.1)
    assert data[24:].view(np.float64)[0] == 0.1
    with pytest.raises(ValueError, match="no number of kind 'half'"):
        template.fill(ctypes.addressof(table), [("half", "1")])


def _scaled(size: int, factor: float) -> NativeCode:
    """``y[2 i + 1] = factor * x[i]``."""
    x, y, i = Buffer(float32), Buffer(float32), Loop(size)
    value = load(x, Index(0, ((i, 1),))) * const(factor, float32)
    kernel = Kernel("k", [x, y], [y], [], [For(i, [Store(y, Index(1, ((i, 2),)), value)])])
    plan = Plan(slots=3, varying=True)
    return NativeCode(plan, [KernelCall(kernel, [Place(1), Place(2)], [])])


def test_one_code_computes_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "shared", Templates())
    made: list[str] = []
    object_code = jit.object_code
    monkeypatch.setattr(store, "shared", lambda: store.Store(None))

    def counted(text: str) -> bytes:
        made.append(text)
        return object_code(text)

    monkeypatch.setattr(jit, "object_code", counted)
    codes = []
    for size in (40, 50, 33, 71):
        code = _scaled(size, size / 7)
        code.compile()
        code.load({0: 0})
        codes.append((size, code))
    assert len(made) == 2
    for size, code in codes:  # each has numbers of its own
        x = np.arange(100, dtype=np.float32)
        y = np.zeros(200, np.float32)
        table = (ctypes.c_uint64 * 3)(0, x.ctypes.data, y.ctypes.data)
        assert code.run(ctypes.addressof(table), 0) == 0
        wanted = np.zeros(200, np.float32)
        wanted[1 : 2 * size : 2] = x[:size] * np.float32(size / 7)
        np.testing.assert_array_equal(y, wanted)
