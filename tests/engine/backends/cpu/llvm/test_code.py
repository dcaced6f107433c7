"""The generated ``main``: kernels and primitives in order, addresses, threads, failures."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.backends.cpu.llvm.code import NativeCode, microseconds
from rushlight.engine.backends.cpu.onednn_prepared import BRIEF, Kernel as Prepared, Port
from rushlight.engine.backends.cpu.onednn_primitive import Description, any_layout, strided
from rushlight.engine.core.dtype import float32, float64
from rushlight.engine.ir.loops import Buffer, For, Kernel, Loop, Store, load
from rushlight.engine.ir.plan import KernelCall, Place, Plan, PrimitiveCall
from rushlight.engine.ir.scalar import number
from tests.engine.backends.cpu.llvm.interpret import flat

needs_onednn = pytest.mark.skipif(not onednn.available(), reason="oneDNN is absent")
Call = KernelCall | PrimitiveCall
M, N, K = 24, 16, 40
FLOAT = np.dtype(np.float32)


def product(count: int = 1) -> Prepared:
    """``(M, K) x (K, N)`` with a layout of the weights that oneDNN chooses."""
    ports = [
        Port(onednn.SRC, (M, K), FLOAT),
        Port(onednn.WEIGHTS, (K, N), FLOAT),
        Port(onednn.DST, (M, N), FLOAT, output=True),
    ]

    def describe() -> Description:
        ends = strided((M, K), FLOAT), any_layout((K, N), FLOAT)
        return Description("matmul", *ends, None, strided((M, N), FLOAT))

    return Prepared(describe, ports, count)


def scaling(size: int = M * N) -> Kernel:
    """``y = s x``."""
    x, y, i = Buffer(float32), Buffer(float32), Loop(size)
    body: list[Any] = [For(i, [Store(y, flat(i), load(x, flat(i)) * number(0, float32))], True)]
    return Kernel("scale", [x, y], [y], [float64], body)


class Memory:
    """An arena, slots and numbers."""

    def __init__(self, arrays: list[np.ndarray], numbers: list[float]) -> None:
        self.whole = np.zeros(1 << 20, np.uint8)
        self.base = -(-self.whole.ctypes.data // 64) * 64
        self.table = np.array([self.base, *(a.ctypes.data for a in arrays)], np.uint64)
        self.numbers = np.array(numbers, np.float64)

    def run(self, code: NativeCode) -> int:
        return code.run(self.table.ctypes.data, self.numbers.ctypes.data)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@needs_onednn
@pytest.mark.parametrize("count", [1, 2])
def test_kernels_and_primitives(two_threads: None, count: int) -> None:
    a, b, y = random(M, K), random(K, N), np.zeros((M, N), np.float32)
    plan = Plan(numbers=[(0, "d")], constants={2: b})
    calls: list[Call] = [
        PrimitiveCall(product(count), [Place(1), Place(2), Place(0, 1 << 18)], Place(0)),
        KernelCall(scaling(), [Place(0, 1 << 18), Place(3)], [0], count),
    ]
    code = NativeCode(plan, calls)
    code.compile()
    memory = Memory([a, b, y], [0.5])
    code.load({0: memory.base})
    for scale in (0.5, 2.0):
        a[...] = random(M, K) * scale
        memory.numbers[0] = scale
        assert memory.run(code) == 0
        np.testing.assert_allclose(y, scale * (a @ b), 1e-4, 1e-4)
    other = random(M, K) + 1
    memory.table[1] = other.ctypes.data
    assert memory.run(code) == 0
    np.testing.assert_allclose(y, 2 * (other @ b), 1e-4, 1e-4)


@needs_onednn
def test_the_number_of_threads_is_as_before(two_threads: None) -> None:
    a, b, y = random(M, K), random(K, N), np.zeros((M, N), np.float32)
    calls = [
        PrimitiveCall(product(count), [Place(1), Place(2), Place(3)], Place(0)) for count in (1, 2)
    ]
    code = NativeCode(Plan(), calls)
    code.compile()
    memory = Memory([a, b, y], [])
    code.load({0: memory.base})
    library = onednn.library()
    before = library.max_threads()
    for present in (1, 2, 3):
        library.set_threads(present)
        assert memory.run(code) == 0
        assert library.max_threads() == present
    library.set_threads(before)
    np.testing.assert_allclose(y, a @ b, 1e-4, 1e-4)


@needs_onednn
def test_one_prepared_object_called_twice() -> None:
    a, b = random(M, K), random(K, N)
    y, z = np.zeros((M, N), np.float32), np.zeros((M, N), np.float32)
    prepared = product()
    calls = [
        PrimitiveCall(prepared, [Place(1), Place(2), Place(3)], Place(0)),
        PrimitiveCall(prepared, [Place(1), Place(2), Place(4)], Place(0)),
    ]
    code = NativeCode(Plan(constants={1: a, 2: b}), calls)
    code.compile()
    memory = Memory([a, b, y, z], [])
    code.load({0: memory.base})
    assert memory.run(code) == 0
    np.testing.assert_allclose(y, a @ b, 1e-4, 1e-4)
    np.testing.assert_array_equal(y, z)


@needs_onednn
def test_a_failure_says_which_call_and_restores_threads(two_threads: None) -> None:
    a, b, y = random(M, K), random(K, N), np.zeros((M, N), np.float32)
    broken = product(2)
    primitive, _, arguments = broken.executions[-1]
    broken.executions[-1] = (primitive, -1, arguments)  # fewer arguments than none
    calls: list[Call] = [
        KernelCall(scaling(1), [Place(1), Place(3)], [0]),
        PrimitiveCall(product(), [Place(1), Place(2), Place(3)], Place(0)),
        PrimitiveCall(broken, [Place(1), Place(2), Place(3)], Place(0)),
    ]
    code = NativeCode(Plan(numbers=[(0, "d")]), calls)
    code.compile()
    memory = Memory([a, b, y], [1.0])
    code.load({0: memory.base})
    before = onednn.library().max_threads()
    assert memory.run(code) == 3
    assert onednn.library().max_threads() == before


@needs_onednn
def test_the_arena_may_move() -> None:
    a, b, y = random(M, K), random(K, N), np.zeros((M, N), np.float32)
    calls: list[Call] = [
        PrimitiveCall(product(), [Place(1), Place(2), Place(0, 1 << 18)], Place(0)),
        KernelCall(scaling(), [Place(0, 1 << 18), Place(3)], [0]),
    ]
    code = NativeCode(Plan(numbers=[(0, "d")]), calls)
    code.compile()
    first, second = (Memory([a, b, y], [1.0]) for _ in range(2))
    code.load({0: first.base})
    assert first.run(code) == 0
    y[...] = 0
    first.whole[...] = 0
    code.place({0: second.base})
    assert second.run(code) == 0
    np.testing.assert_allclose(y, a @ b, 1e-4, 1e-4)
    assert not first.whole.any()


def test_equal_kernels_are_compiled_once() -> None:
    calls = [KernelCall(scaling(64), [Place(1), Place(2)], [0]) for _ in range(5)]
    code = NativeCode(Plan(numbers=[(0, "d")]), [*calls, calls[0]])
    text = code.write()
    assert code.write() == text
    assert text.count("define internal") == 1
    assert text.count("call void @") == 6


def test_the_same_program_has_the_same_text() -> None:
    def text() -> str:
        calls = [KernelCall(scaling(), [Place(1), Place(0, 64)], [0], 2)]
        return NativeCode(Plan(numbers=[(0, "d")]), calls).write()

    assert text() == text()
    assert "inttoptr" not in text()


def test_an_empty_segment() -> None:
    code = NativeCode(Plan(), [])
    code.compile()
    code.load({})
    assert code.run(0, 0) == 0


def test_order_of_the_phases() -> None:
    code = NativeCode(Plan(), [])
    with pytest.raises(RuntimeError, match="has not been compiled"):
        code.load({})
    with pytest.raises(RuntimeError, match="has not been loaded"):
        code.run(0, 0)


def test_errors_of_the_generator_are_reported() -> None:
    with pytest.raises(RuntimeError):
        jit.object_code("define void @f() { nonsense }")


def test_compiling_on_other_threads() -> None:
    results: dict[int, np.ndarray] = {}
    x = random(M * N)

    def work(k: int) -> None:
        y = np.zeros(M * N - k, np.float32)
        calls = [KernelCall(scaling(M * N - k), [Place(1), Place(2)], [0])]
        code = NativeCode(Plan(numbers=[(0, "d")]), calls)
        code.compile()
        memory = Memory([x, y], [k + 1.0])
        code.load({0: memory.base})
        assert memory.run(code) == 0
        results[k] = y

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for k in range(6):
        np.testing.assert_allclose(results[k], x[: M * N - k] * (k + 1), 1e-6)


def test_code_lives_as_long_as_it_is_used() -> None:
    x, y = random(64), np.zeros(64, np.float32)
    memory = Memory([x, y], [3.0])
    for _ in range(20):
        calls = [KernelCall(scaling(64), [Place(1), Place(2)], [0])]
        code = NativeCode(Plan(numbers=[(0, "d")]), calls)
        code.compile()
        code.load({0: memory.base})
        run = code.run
        del code
        y[...] = 0
        assert run(memory.table.ctypes.data, memory.numbers.ctypes.data) == 0
        np.testing.assert_allclose(y, x * 3, 1e-6)


def test_what_is_brief_keeps_the_interpreter() -> None:
    """And what is long lets other Python threads run meanwhile."""
    kernel = scaling(64)
    kernel.operations, kernel.moved = 64.0, 512.0
    call = KernelCall(kernel, [Place(1), Place(2)], [0])
    assert microseconds([call] * 10) < BRIEF
    kernel.operations = 1e8
    assert microseconds([call]) > BRIEF
    x, y = random(64), np.zeros(64, np.float32)
    code = NativeCode(Plan(numbers=[(0, "d")]), [call])
    code.compile()
    memory = Memory([x, y], [3.0])
    code.load({0: memory.base})
    assert memory.run(code) == 0
    np.testing.assert_allclose(y, x * 3, 1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_during_compilation_can_compile() -> None:
    program = """
        import os, threading, time
        from tests.engine.backends.cpu.llvm.test_store import Native, arrays, doubling, works
        from rushlight.engine.backends.cpu.llvm import jit
        text = Native(doubling(), arrays()).code.text
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                jit.object_code(text)
        thread = threading.Thread(target=busy)
        thread.start()
        good = 0
        for _ in range(8):
            time.sleep(0.01)
            child = os.fork()
            if not child:
                os._exit(0 if works(Native(doubling(), arrays())) else 1)
            good += os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        print(good)
    """
    path = ":".join([str(Path(__file__).parents[5]), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], capture_output=True,
        text=True, timeout=120, check=False, env={"PYTHONPATH": path, "RUSHLIGHT_CACHE": "0"},
    )  # fmt: skip
    assert done.stdout.strip() == "8", done.stderr
