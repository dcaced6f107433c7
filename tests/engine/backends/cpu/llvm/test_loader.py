"""Loading object files without LLVM: the same functions, and no library of a compiler in memory."""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight.engine.backends.cpu.llvm import jit, loader

pytestmark = pytest.mark.skipif(not loader.available(), reason="the loader is for x86-64 Linux")

TEXT = """
@table = global [4 x i64] zeroinitializer
@numbers = internal unnamed_addr constant [8 x double] [double 1.5, double 2.5, double 3.5,
    double 4.5, double 5.5, double 6.5, double 7.5, double 8.5], align 64
@places = constant [2 x ptr] [ptr @numbers, ptr @table]

declare double @erf(double)
declare ptr @memset(ptr, i32, i64)

define internal double @inner(i64 %i) noinline {
  %p = getelementptr double, ptr @numbers, i64 %i
  %v = load double, ptr %p
  ret double %v
}

define double @entry(i64 %i, double %x) {
  %v = call double @inner(i64 %i)
  %e = call double @erf(double %x)
  %t = getelementptr i64, ptr @table, i64 1
  store i64 %i, ptr %t
  %three = getelementptr i64, ptr @table, i64 2
  %unused = call ptr @memset(ptr %three, i32 1, i64 8)
  %sum = fadd double %v, %e
  ret double %sum
}

define ptr @where() {
  %q = getelementptr ptr, ptr @places, i64 1
  %p = load volatile ptr, ptr %q
  ret ptr %p
}

define i32 @choose(i32 %x) {
  switch i32 %x, label %other [ i32 0, label %a i32 1, label %b i32 2, label %c i32 3, label %d
                                i32 4, label %e ]
a:
  ret i32 17
b:
  ret i32 4
c:
  ret i32 99
d:
  ret i32 -3
e:
  ret i32 1000
other:
  ret i32 5
}
"""


def loaded(linked: bool = False) -> tuple[jit.Loaded, jit.Loaded, jit.Loaded]:
    """Three functions of the text, loaded by the loader or by LLVM."""
    made = []
    for name in ("entry", "where", "choose"):
        one = object.__new__(jit.Loaded)
        if linked:
            one._link(jit.object_code(TEXT), name, ["erf"], "table")
        else:
            one.__init__(jit.object_code(TEXT), name, ["erf"], "table")  # type: ignore[misc]
            assert isinstance(one._kept, loader.Image)
        made.append(one)
    return made[0], made[1], made[2]


@pytest.mark.parametrize("linked", [False, True])
def test_functions_constants_and_data(linked: bool) -> None:
    entry, where, choose = loaded(linked)
    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double)(entry.address)
    assert [call(i, 0.5) for i in range(8)] == [1.5 + i + math.erf(0.5) for i in range(8)]
    table = (ctypes.c_int64 * 4).from_address(entry.table)
    assert list(table) == [0, 7, 0x0101010101010101, 0]
    assert ctypes.CFUNCTYPE(ctypes.c_size_t)(where.address)() == where.table
    switch = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(choose.address)
    assert [switch(x) for x in range(-1, 6)] == [5, 17, 4, 99, -3, 1000, 5]


def test_code_is_not_writable() -> None:
    entry, *_ = loaded()
    image = entry._kept
    kinds = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, kind = line.split()[:2]
        begin, end = (int(x, 16) for x in bounds.split("-"))
        for what, address in (("code", entry.address), ("data", entry.table)):
            if begin <= address < end:
                kinds[what] = kind
    assert image.base <= entry.address
    assert kinds == {"code": "r-xp", "data": "rw-p"}


def test_what_it_leaves_to_llvm() -> None:
    code = jit.object_code(TEXT)
    with pytest.raises(loader.Unsupported):
        loader.Image(b"\x7fELF" + bytes(60), loader.process_symbol)
    with pytest.raises(loader.Unsupported):
        loader.Image(code[:18] + b"\x28\0" + code[20:], loader.process_symbol)  # another processor
    other = jit.object_code("@x = external global i64\ndefine ptr @f() {\n  ret ptr @nothing\n}\n"
                            "declare void @nothing()\n")  # fmt: skip
    with pytest.raises(loader.Unsupported, match="nothing"):
        loader.Image(other, jit.symbols_of([]))
    with pytest.raises(KeyError):
        loader.Image(code, jit.symbols_of(["erf"])).find("absent")


TRAINING = """
import sys
import rushlight as torch

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Dropout(0.1),
                          torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(12):
    optimizer.zero_grad()
    loss = net(torch.ones(4, 8)).square().mean()
    loss.backward()
    optimizer.step()
from rushlight.engine.runtime.cache import counters
print(loss.item(), counters.compiled_runs > 3, "llvmlite.binding" in sys.modules)
"""


def test_code_from_disk_needs_no_compiler(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True,
            env={**os.environ, "RUSHLIGHT_CACHE_DIR": str(tmp_path), "RUSHLIGHT_CACHE": "1"},
        )  # fmt: skip
        said.append(done.stdout.split())
    assert said[0][1:] == ["True", "True"]
    assert said[1] == [said[0][0], "True", "False"]
