"""What all prepared operations share: arrays accepted and refused, memory given back, threads."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn, onednn_prepared, onednn_primitive, threads
from rushlight.engine.backends.cpu.onednn_convolution import prepare_convolution
from rushlight.engine.backends.cpu.onednn_matmul import prepare_matmul

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)
STATISTICS = Path("/proc/self/statm")
LARGE = ((2, 16, 12, 12), (32, 16, 3, 3))


def convolution(x_shape=LARGE[0], w_shape=LARGE[1]):
    """A prepared convolution of two dimensions."""
    return prepare_convolution(x_shape, w_shape, False, (1, 1), (1, 1), (1, 1), 1, FLOAT)


def arrays(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Random arrays of these shapes."""
    source = np.random.default_rng(seed)
    return [source.standard_normal(shape, dtype=np.float32) for shape in shapes]


def operation(call) -> onednn_prepared.Operation:
    """What stands behind a prepared call."""
    cells = (cell.cell_contents for cell in call.__closure__)
    return next(value.operation for value in cells if hasattr(value, "operation"))


def test_addresses_are_numpys() -> None:
    for array in (*arrays((3, 4)), np.zeros(5)[2:], np.zeros((4, 4)).T):
        assert onednn_prepared.address(array) == array.ctypes.data


def test_strided_arrays_are_copied_first() -> None:
    x, w = arrays(*LARGE)
    call = convolution()
    expected = call(x, w)
    assert np.array_equal(call(np.asfortranarray(x), w), expected)
    wide = np.repeat(w, 2, axis=3)
    assert np.array_equal(call(x, wide[..., ::2]), expected)


def test_wrong_arrays_are_refused() -> None:
    x, w = arrays(*LARGE)
    call = convolution()
    with pytest.raises(ValueError, match="prepared for"):
        call(x[:1], w)
    with pytest.raises(ValueError, match="float64"):
        call(x.astype(np.float64), w)
    with pytest.raises(ValueError, match="expected strides"):
        call(x, w, out=np.empty((2, 32, 12, 12), np.float32, order="F"))
    with pytest.raises(ValueError, match="prepared for"):
        call(x, w, np.zeros(32, np.float32))


def test_results_are_written_where_asked() -> None:
    x, w = arrays(*LARGE)
    call = convolution()
    out = np.full((2, 32, 12, 12), np.nan, np.float32)
    assert call(x, w, out=out) is out
    assert np.array_equal(out, call(x, w))


def test_inputs_are_left_alone() -> None:
    x, w = arrays(*LARGE)
    before = x.copy(), w.copy()
    convolution()(x, w)
    assert np.array_equal(x, before[0])
    assert np.array_equal(w, before[1])


def test_scratch_memory_may_grow_between_calls() -> None:
    x, w = arrays(*LARGE)
    call = convolution()
    expected = call(x, w)
    bigger = onednn_prepared.scratch.size + (1 << 20)
    onednn_prepared.scratch.reserve(bigger)
    assert onednn_prepared.scratch.base % onednn_prepared.ALIGNMENT == 0
    assert np.array_equal(call(x, w), expected)


def test_handles_are_given_back(monkeypatch) -> None:
    alive: set[int] = set()
    make, destroy = onednn_primitive.Owned.__init__, onednn_primitive.Owned.__del__

    def made(self, *arguments) -> None:
        make(self, *arguments)
        alive.add(id(self))

    def gone(self) -> None:
        destroy(self)
        alive.discard(id(self))

    monkeypatch.setattr(onednn_primitive.Owned, "__init__", made)
    monkeypatch.setattr(onednn_primitive.Owned, "__del__", gone)
    x, w = arrays(*LARGE)
    gc.disable()  # what is freed is freed by reference counts
    try:
        call = convolution()
        call(x, w)
        assert alive
        del call
        assert not alive
    finally:
        gc.enable()


@pytest.mark.skipif(not STATISTICS.exists(), reason="no memory statistics on this system")
def test_preparing_again_and_again_keeps_memory_level() -> None:
    def resident() -> int:
        return int(STATISTICS.read_text().split()[1]) * 4096

    x, w = arrays(*LARGE)
    for _ in range(50):
        convolution()(x, w)
    before = resident()
    for _ in range(400):
        convolution()(x, w)
    assert resident() - before < 4 << 20


def test_a_new_number_of_threads_makes_the_kernel_anew() -> None:
    shapes = (16, 32, 32, 32), (32, 32, 3, 3)
    x, w = arrays(*shapes)
    before = threads.limit()
    threads.set_limit(1)
    try:
        call = convolution(*shapes)
        expected = call(x, w)
        assert operation(call).kernel.threads == 1
        threads.set_limit(2)
        assert np.allclose(call(x, w), expected, atol=1e-4)
        assert operation(call).kernel.threads == 2
    finally:
        threads.set_limit(before)


def test_python_threads_take_turns() -> None:
    call = convolution()
    _, w = arrays(*LARGE)
    inputs = [arrays(LARGE[0], seed=i)[0] for i in range(4)]
    expected = [call(x, w) for x in inputs]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            if not np.array_equal(call(inputs[index], w), expected[index]):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_two_runs_are_bit_identical() -> None:
    a, b = arrays((96, 200), (200, 96))
    first = prepare_matmul(a.shape, (200, 1), b.shape, (96, 1), None, FLOAT)(a, b)
    second = prepare_matmul(a.shape, (200, 1), b.shape, (96, 1), None, FLOAT)(a, b)
    assert np.array_equal(first, second)


def test_implementations_have_names() -> None:
    names = operation(convolution()).kernel.implementation.split(" > ")
    assert any(name.startswith(("jit", "brg", "x64")) for name in names)


def test_types_that_onednn_lacks_are_unsupported() -> None:
    with pytest.raises(onednn.Unsupported, match="float64"):
        onednn_primitive.strided((2, 3), np.dtype(np.float64))
