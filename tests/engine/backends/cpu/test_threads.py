"""How many threads there are, which kernels get them, and what a forked child does."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.core.config import config


@pytest.fixture
def restored():
    """The number of threads as it was."""
    before = threads.limit()
    yield
    threads.set_limit(before)


def run(program: str, **environment: str) -> str:
    """What a Python program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=120, check=False,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p), **environment},
        cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_cores_count_physical_ones_within_the_quota(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "_processors", tmp_path)
    monkeypatch.setattr(threads, "_control_groups", tmp_path)
    assert threads.cores() == 4
    for number in range(4):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{number % 2},{number % 2 + 2}\n")
    assert threads.cores() == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads.cores() == 2
    (tmp_path / "cpu.max").write_text("90000 100000\n")
    assert threads.cores() == 1


def test_the_limit_is_the_configured_one(monkeypatch) -> None:
    monkeypatch.setattr(threads.state, "limit", 0)
    monkeypatch.setattr(config, "num_threads", 3)
    assert threads.limit() == 3


@pytest.mark.usefixtures("restored")
def test_a_new_limit_starts_a_new_epoch() -> None:
    threads.set_limit(2)
    epoch = threads.state.epoch
    threads.set_limit(2)
    assert threads.state.epoch == epoch
    threads.set_limit(3)
    assert (threads.limit(), threads.state.epoch) == (3, epoch + 1)
    with pytest.raises(RuntimeError, match="positive"):
        threads.set_limit(0)


@pytest.mark.usefixtures("restored")
def test_small_kernels_run_on_one_thread() -> None:
    threads.set_limit(4)
    assert threads.choose(threads.cost(1e5, 1e5)) == 1
    assert threads.choose(threads.cost(1e9, 1e5)) == 4
    assert threads.choose(threads.cost(1e5, 1e8)) == 4


CONVOLUTION = """
    import os, signal
    import numpy as np
    from rushlight.engine.backends.cpu import onednn, threads
    from rushlight.engine.backends.cpu.onednn_convolution import prepare_convolution
    large, f = ((8, 32, 32, 32), (32, 32, 3, 3)), np.dtype(np.float32)
    convolve = prepare_convolution(*large, False, (1, 1), (1, 1), (1, 1), 1, f)
    x, w = (np.random.default_rng(0).standard_normal(s, dtype=f) for s in large)
"""


@pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")
def test_a_forked_child_runs_on_one_thread() -> None:
    program = (
        CONVOLUTION
        + """
    expected = convolve(x, w)
    assert threads.limit() == 2
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # GNU OpenMP would hang here
        same = np.allclose(convolve(x, w), expected, atol=1e-4)
        fresh = prepare_convolution(*large, False, (1, 1), (0, 0), (1, 1), 1, f)(x, w)
        os._exit(0 if same and threads.limit() == 1 and np.isfinite(fresh).all() else 1)
    status = os.waitpid(child, 0)[1]
    print(status, threads.limit(), np.array_equal(convolve(x, w), expected))
    """
    )
    assert run(program, RUSHLIGHT_NUM_THREADS="2") == "0 2 True"


@pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")
def test_running_leaves_the_callers_number_of_threads_alone() -> None:
    program = (
        CONVOLUTION
        + """
    library = onednn.library()
    library.set_threads(3)
    convolve(x, w)
    tiny = prepare_convolution((1, 1, 3, 3), (1, 1, 3, 3), False, (1, 1), (0, 0), (1, 1), 1, f)
    tiny(x[:1, :1, :3, :3], w[:1, :1])
    print(library.max_threads())
    """
    )
    assert run(program, RUSHLIGHT_NUM_THREADS="2") == "3"


@pytest.mark.skipif(threads.runtime() is None, reason="GNU OpenMP is not installed")
def test_idle_threads_are_told_to_sleep_unless_the_user_says_otherwise() -> None:
    program = """
    import ctypes
    from rushlight.engine.backends.cpu import threads
    threads.runtime()
    read = ctypes.CDLL(None).getenv
    read.argtypes, read.restype = [ctypes.c_char_p], ctypes.c_char_p
    print(read(b"GOMP_SPINCOUNT").decode())
    """
    assert run(program) == str(threads.SPIN_COUNT)
    assert run(program, GOMP_SPINCOUNT="7") == "7"
