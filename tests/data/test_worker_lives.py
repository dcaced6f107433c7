"""How workers end: with an error that says what happened, and leaving nothing behind."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader, Dataset, IterableDataset
from rushlight.utils.data._utils import pool

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="looks at processes and files under /proc"
)


def children() -> set[str]:
    """The processes this one has started and not yet seen the end of."""
    found = {task.read_text() for task in Path("/proc/self/task").glob("*/children")}
    return {number for numbers in found for number in numbers.split()}


def shared() -> list[str]:
    """The blocks for batches this process has open or mapped."""
    files = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in [*files, *lines] if "rushlight-batch" in name or "/dev/shm" in name]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children()
    assert not shared()
    yield
    if shared() or not children() <= before:
        gc.collect()  # an error that was caught holds the frames it came through
    assert children() <= before
    assert not shared()


class Fails(Dataset):
    """Images of which the one numbered 5 does something else first."""

    def __init__(self, act: Callable[[], Any] = int, count: int = 12) -> None:
        self.act, self.count = act, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            self.act()
        return torch.full((3, 64, 64), float(index))


def batches_until_error(act: Callable[[], Any], **options: Any) -> tuple[int, BaseException]:
    """How many batches came, and the error that came then."""
    count = 0
    with pytest.raises(Exception) as caught:  # noqa: PT012
        for _ in DataLoader(Fails(act), 2, num_workers=2, **options):
            count += 1
    return count, caught.value


class TwoArgumentsError(Exception):
    """Cannot be made from a message alone."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__(first, second)


def unknown_key() -> None:
    raise KeyError("a sample")


def two_arguments() -> None:
    raise TwoArgumentsError(1, 2)


def local_type() -> None:
    class LocalError(Exception):
        """A type that cannot be pickled."""

    raise LocalError("here")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def read_nowhere() -> None:
    ctypes.string_at(0)


def leave() -> None:
    sys.exit(3)


def sleep() -> None:
    time.sleep(60)


# errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [unknown_key, two_arguments])
def test_an_exception_is_told_as_pytorch_tells_it(act: Callable[[], None]) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    count, ours = batches_until_error(act)
    assert count == 2
    with pytest.raises(type(ours)) as caught:  # noqa: PT012
        try:
            act()
        except Exception:
            where = "in DataLoader worker process 0"
            oracle._utils.ExceptionWrapper(where=where).reraise()
    first, last = ([str(e).splitlines()[i] for e in (ours, caught.value)] for i in (0, -1))
    assert first[0] == first[1]
    assert last[0] == last[1]
    assert str(ours).splitlines()[1] == "Original Traceback (most recent call last):"
    assert f"in {act.__name__}\n" in str(ours)


def test_an_exception_of_a_type_that_cannot_travel() -> None:
    _, error = batches_until_error(local_type)
    assert type(error) is RuntimeError
    assert "LocalError: here" in str(error)


def test_after_an_exception_the_next_batches_come() -> None:
    batches = iter(DataLoader(Fails(unknown_key), 2, num_workers=2))
    seen = []
    for _ in range(6):
        try:
            seen.append(int(next(batches)[0, 0, 0, 0]))
        except KeyError:
            seen.append(-1)
    assert seen == [0, 2, -1, 6, 8, 10]


def test_an_exception_while_a_worker_is_prepared() -> None:
    def prepare(worker: int) -> None:
        raise ValueError(f"no worker {worker}")

    with pytest.raises(ValueError, match=r"(?s)in DataLoader worker process 0.*no worker 0"):
        next(iter(DataLoader([1, 2], num_workers=1, worker_init_fn=prepare)))


def test_a_batch_that_cannot_travel() -> None:
    weight = torch.ones(2, requires_grad=True)
    loader = DataLoader([weight * 2], num_workers=1)
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        next(iter(loader))
    loader = DataLoader([1], num_workers=1, collate_fn=lambda samples: lambda: samples)
    with pytest.raises(Exception, match=r"(?s)in DataLoader worker process 0.*pickle"):
        next(iter(loader))


def test_a_killed_worker() -> None:
    count, error = batches_until_error(kill)
    assert count <= 2
    assert re.match(r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly\n", str(error))
    assert re.search(r"worker \(pid \d+\) is killed by signal: Killed \(SIGKILL\)", str(error))
    assert "memory has run out" in str(error)


def test_a_crashed_worker_tells_where() -> None:
    _, error = batches_until_error(read_nowhere)
    assert "is killed by signal: Segmentation fault (SIGSEGV)" in str(error)
    assert "in read_nowhere" in str(error)
    assert "in _fetch" not in str(error)


def test_a_worker_that_leaves() -> None:
    _, error = batches_until_error(leave)
    assert "exited unexpectedly with exit code 3" in str(error)
    assert "Rerunning with num_workers=0" in str(error)


def test_a_worker_that_hangs() -> None:
    begin = time.monotonic()
    count, error = batches_until_error(sleep, timeout=0.5)
    assert count == 2
    assert str(error).startswith("DataLoader timed out after 0.5 seconds\nWorker 0 (pid ")
    assert "was still busy with samples [4, 5]; it was here:\n" in str(error)
    assert "in sleep" in str(error)
    assert time.monotonic() - begin < 20


def test_a_kept_loader_recovers() -> None:
    act = Fails(kill)
    loader = DataLoader(act, 2, num_workers=1, persistent_workers=True)
    with pytest.raises(RuntimeError, match="SIGKILL"):
        list(loader)
    act.act = int
    assert len(list(loader)) == 6
    assert len(list(loader)) == 6
    del loader


# ends ------------------------------------------------------------------------------------------


def test_the_end_of_an_epoch_is_the_end_of_the_workers() -> None:
    batches = iter(DataLoader(Fails(), 2, num_workers=2))
    assert len(children()) >= 2
    assert len(list(batches)) == 6
    assert all(worker.exitcode == 0 for worker in batches._workers)
    with pytest.raises(StopIteration):
        next(batches)


def test_a_loop_that_is_left() -> None:
    for batch in DataLoader(Fails(), 2, num_workers=2):
        assert batch.sum() == 3 * 64 * 64
        break
    del batch


def test_an_iterator_nobody_holds() -> None:
    batches = iter(DataLoader(Fails(), 2, num_workers=2))
    workers = batches._workers
    del batches
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_workers_are_kept_if_they_should_be() -> None:
    loader = DataLoader(Fails(), 2, num_workers=2, persistent_workers=True)
    numbers = []
    for _ in range(3):
        assert [int(batch[0, 0, 0, 0]) for batch in loader] == [0, 2, 4, 6, 8, 10]
        assert loader._iterator is not None
        numbers.append([worker.pid for worker in loader._iterator._workers])
    assert numbers[0] == numbers[1] == numbers[2]
    for _ in loader:
        break
    assert [int(batch[0, 0, 0, 0]) for batch in loader] == [0, 2, 4, 6, 8, 10]
    del loader, _


def test_a_stream_ends_while_others_go_on() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            info = torch.utils.data.get_worker_info()
            return iter(range(info.id, info.id + 10 * info.id, 2))

    found = [batch.tolist() for batch in DataLoader(Stream(), 2, num_workers=2)]
    assert found == [[1, 3], [5, 7], [9]]


def test_a_busy_worker_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.Pool.close, "__defaults__", (0.1,))
    batches = iter(DataLoader(Fails(sleep), 2, num_workers=2))
    next(batches)
    workers = batches._workers
    batches._shutdown_workers()
    assert sorted(worker.exitcode for worker in workers) in ([-15, 0], [-15, -15])


# whole programs --------------------------------------------------------------------------------

PROGRAM = """
    import os, signal, sys, time
    import rushlight as torch
    from rushlight.utils.data import DataLoader, Dataset

    class Slow(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            if index >= {slow_from}:
                time.sleep(60)
            return torch.full((3, 64, 64), float(index))

    batches = iter(DataLoader(Slow(), 2, num_workers=2, persistent_workers={kept}))
    first = next(batches)
    print(*[worker.pid for worker in batches._workers], flush=True)
"""


def begin(end: str, slow_from: int = 4, kept: bool = False) -> tuple[Any, list[int]]:
    """A program that has started its workers and goes on with ``end``; their numbers."""
    code = textwrap.dedent(PROGRAM).format(slow_from=slow_from, kept=kept)
    process = subprocess.Popen(
        [sys.executable, "-c", code + textwrap.dedent(end)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def alive(numbers: list[int]) -> list[int]:
    """Those of the processes that still run."""
    return [
        number
        for number in numbers
        if Path(f"/proc/{number}/stat").exists()
        and Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    ]


def wait_for_their_end(numbers: list[int]) -> None:
    """Fail if some of the processes still run after a while."""
    assert numbers
    end = time.monotonic() + 20
    while alive(numbers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(numbers)


@pytest.mark.parametrize("kept", [False, True])
def test_a_program_that_ends_before_its_loader(kept: bool) -> None:
    process, workers = begin("", kept=kept)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")
    wait_for_their_end(workers)


def test_a_program_that_fails_in_its_loop() -> None:
    process, workers = begin("raise ValueError('mine')")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.endswith("ValueError: mine\n")
    wait_for_their_end(workers)


def test_a_killed_program() -> None:
    process, workers = begin("time.sleep(60)")
    process.kill()
    process.communicate(timeout=60)
    wait_for_their_end(workers)


def test_control_c() -> None:
    process, workers = begin("list(batches)")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert told.endswith("KeyboardInterrupt\n")
    assert told.count("Traceback") == 1
    wait_for_their_end(workers)


def test_control_c_that_the_program_takes() -> None:
    process, workers = begin(
        """
        signal.signal(signal.SIGINT, lambda *_: print("taken", flush=True))
        print("ready", flush=True)
        time.sleep(1)
        print(len(list(batches)))
        """,
        slow_from=8,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    said, told = process.communicate(timeout=60)
    assert (said.split(), told) == (["taken", "3"], "")
    wait_for_their_end(workers)
