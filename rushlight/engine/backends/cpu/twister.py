"""The Mersenne Twister in generated code: NumPy's state, NumPy's numbers, several times faster.

Dropout needs thousands of draws for every step of a small network; NumPy makes them one by one. The
recurrence of Matsumoto and Nishimura (1998, https://doi.org/10.1145/272991.272995) has no element
that depends on one of the 226 before it, so it can be computed in vectors.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.backends.cpu.onednn_prepared import address
from rushlight.engine.core import mt19937

_TWIST = """
  %{n}.next.at = getelementptr i32, ptr %key, i64 %{n}.following
  %{n}.here.at = getelementptr i32, ptr %key, i64 %{n}.i
  %{n}.far.at = getelementptr i32, ptr %key, i64 %{n}.distant
  %{n}.here = load i32, ptr %{n}.here.at, align 4
  %{n}.next = load i32, ptr %{n}.next.at, align 4
  %{n}.far = load i32, ptr %{n}.far.at, align 4
  %{n}.high = and i32 %{n}.here, -2147483648
  %{n}.low = and i32 %{n}.next, 2147483647
  %{n}.both = or i32 %{n}.high, %{n}.low
  %{n}.half = lshr i32 %{n}.both, 1
  %{n}.bit = and i32 %{n}.next, 1
  %{n}.odd = icmp ne i32 %{n}.bit, 0
  %{n}.matrix = select i1 %{n}.odd, i32 -1727483681, i32 0
  %{n}.mixed = xor i32 %{n}.far, %{n}.half
  %{n}.new = xor i32 %{n}.mixed, %{n}.matrix
  store i32 %{n}.new, ptr %{n}.here.at, align 4
"""


_FILL = """
define internal void @temper(ptr noalias %key, ptr noalias %out, i64 %count) #0 {
start:
  br label %t
t:
  %i = phi i64 [ 0, %start ], [ %more, %t ]
  %at = getelementptr i32, ptr %key, i64 %i
  %y0 = load i32, ptr %at, align 4
  %s1 = lshr i32 %y0, 11
  %y1 = xor i32 %y0, %s1
  %s2 = shl i32 %y1, 7
  %m2 = and i32 %s2, -1658038656
  %y2 = xor i32 %y1, %m2
  %s3 = shl i32 %y2, 15
  %m3 = and i32 %s3, -272236544
  %y3 = xor i32 %y2, %m3
  %s4 = lshr i32 %y3, 18
  %y4 = xor i32 %y3, %s4
  %to = getelementptr i32, ptr %out, i64 %i
  store i32 %y4, ptr %to, align 4
  %more = add nuw nsw i64 %i, 1
  %last = icmp eq i64 %more, %count
  br i1 %last, label %end, label %t, !llvm.loop !0
end:
  ret void
}

define void @fill(ptr %state, ptr %out, i64 %count) #0 {
start:
  %pos.at = getelementptr i32, ptr %state, i64 624
  %pos.start = load i32, ptr %pos.at, align 4
  %begin = sext i32 %pos.start to i64
  br label %next
next:
  %pos = phi i64 [ %begin, %start ], [ %pos.more, %copy ]
  %made = phi i64 [ 0, %start ], [ %made.more, %copy ]
  %left = sub i64 %count, %made
  %done = icmp eq i64 %left, 0
  br i1 %done, label %end, label %block
block:
  %empty = icmp sge i64 %pos, 624
  br i1 %empty, label %renew, label %copy
renew:
  call void @twist(ptr %state)
  br label %copy
copy:
  %from = phi i64 [ %pos, %block ], [ 0, %renew ]
  %here = sub i64 624, %from
  %few = icmp slt i64 %left, %here
  %size = select i1 %few, i64 %left, i64 %here
  %source = getelementptr i32, ptr %state, i64 %from
  %target = getelementptr i32, ptr %out, i64 %made
  call void @temper(ptr %source, ptr %target, i64 %size)
  %pos.more = add i64 %from, %size
  %made.more = add i64 %made, %size
  br label %next
end:
  %pos.end = trunc i64 %pos to i32
  store i32 %pos.end, ptr %pos.at, align 4
  ret void
}
"""


def _loop(n: str, begin: int, end: int, shift: int, before: str, after: str) -> str:
    """A loop of the recurrence over places ``begin`` to ``end``, with the far word at a shift."""
    return f"""
{n}:
  %{n}.i = phi i64 [ {begin}, %{before} ], [ %{n}.more, %{n} ]
  %{n}.following = add nuw nsw i64 %{n}.i, 1
  %{n}.distant = add nsw i64 %{n}.i, {shift}
{_TWIST.format(n=n)}
  %{n}.more = add nuw nsw i64 %{n}.i, 1
  %{n}.last = icmp eq i64 %{n}.more, {end}
  br i1 %{n}.last, label %{after}, label %{n}, !llvm.loop !0
"""


def _text(attributes: str) -> str:
    last = _TWIST.format(n="z").replace("%z.i", "623").replace("%z.following", "0")
    last = last.replace("%z.distant", "396")
    return f"""
define internal void @twist(ptr %key) #0 {{
start:
  br label %a
{_loop("a", 0, 227, 397, "start", "b.start")}
b.start:
  br label %b
{_loop("b", 227, 623, -227, "b.start", "end")}
end:
{last}
  ret void
}}
{_FILL}
attributes #0 = {{ noinline nounwind {attributes} }}
!0 = distinct !{{!0, !1}}
!1 = !{{!"llvm.loop.vectorize.enable", i1 true}}
"""


class _Twister:
    """The generated function, once it has been made."""

    def __init__(self) -> None:
        self.loaded: Any = None


_twister = _Twister()


def install() -> None:
    """Let generators draw through generated code from now on: the same numbers."""
    if _twister.loaded is not None:
        return
    code = jit.kept_code(_text(jit.target().attributes))
    _twister.loaded = loaded = jit.Loaded(code, "fill", [])
    kind = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function = kind(loaded.address)

    def fill(state: int, made: np.ndarray) -> None:
        function(state, address(made), made.size)

    mt19937.native.words = _words
    mt19937.native.fill = fill


def _words(address: int, count: int) -> np.ndarray:
    return np.frombuffer(memoryview((ctypes.c_uint32 * count).from_address(address)), np.uint32)
