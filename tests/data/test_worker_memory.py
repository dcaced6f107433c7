"""Batches of workers lie in shared memory that is used again, and stay valid all the same."""

from __future__ import annotations

import errno
import gc
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.backends.cpu import threads
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.utils.data import DataLoader, Dataset, TensorDataset, random_split
from rushlight.utils.data._utils import fetch
from rushlight.utils.data._utils.blocks import Block, Ring
from rushlight.utils.data._utils.transport import pack, unpack

ROOT = Path(__file__).parents[2]


class Images(Dataset):
    """Images large enough for shared memory, each of its own number."""

    def __init__(self, count: int = 24) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return torch.full((3, 64, 64), float(index))


class Marked(torch.Tensor):
    """A type of tensor of the user's own."""


# batches ---------------------------------------------------------------------------------------


def test_batches_stay_valid_however_long_they_are_kept() -> None:
    batches = iter(DataLoader(Images(), 2, num_workers=2))
    blocks = batches._pool.ring.blocks
    kept = list(batches)
    assert len(blocks) == 2 * 2 + Ring.LEASES
    for number, batch in enumerate(kept):
        expected = torch.tensor([2.0 * number, 2.0 * number + 1])
        assert (batch == expected.view(2, 1, 1, 1)).all()


def test_batches_are_written_to_like_any_tensor() -> None:
    found = []
    for batch in DataLoader(Images(8), 2, num_workers=1):
        view = batch.view(2, -1)
        batch.mul_(2).sub_(1)
        array = batch.numpy()
        array += 1
        found.append(view[:, 0].tolist())
    assert found == [[0, 2], [4, 6], [8, 10], [12, 14]]


def test_batches_go_into_a_graph() -> None:
    weight = torch.ones(64, requires_grad=True)
    losses = [(batch * weight).mean() for batch in DataLoader(Images(12), 2, num_workers=1)]
    torch.stack(losses).sum().backward()
    assert weight.grad.tolist() == [pytest.approx(33 / 64)] * 64


def test_a_block_is_free_when_nothing_uses_it() -> None:
    ring = Ring(1)
    number = ring.take()
    extent = pack([torch.ones(40_000), np.arange(3)], ring.blocks[number])
    numbers, array = unpack(ring.read(number, extent.total), extent)
    row = numbers.view(200, 200)[3]
    assert number not in ring._free
    del numbers
    gc.collect()
    assert number not in ring._free
    assert row.sum() == 200
    del row
    gc.collect()
    assert array.tolist() == [0, 1, 2]
    assert number not in ring._free
    del array
    gc.collect()
    assert sorted(ring._free) == list(range(1 + Ring.LEASES))
    ring.close()


def test_a_small_batch_is_copied() -> None:
    ring = Ring(1)
    number = ring.take()
    extent = pack(torch.arange(10), ring.blocks[number])
    found = unpack(ring.read(number, extent.total), extent)
    assert number in ring._free
    pack(torch.zeros(10), ring.blocks[number])
    assert found.tolist() == list(range(10))
    ring.close()


def test_what_a_child_may_look_at_is_not_written_to_again() -> None:
    ring = Ring(1)
    number = ring.take()
    extent = pack(torch.ones(40_000), ring.blocks[number])
    found = unpack(ring.read(number, extent.total), extent)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    del found
    gc.collect()
    assert number not in ring._free
    for _ in range(Ring.LEASES - 1):  # the others may be lent still
        taken = ring.take()
        pack(torch.ones(40_000), ring.blocks[taken])
        ring.read(taken, extent.total)
    ring.close()


def test_a_block_grows_and_keeps_what_it_held() -> None:
    block, other = Block(), None
    try:
        block.memory(4)[:4] = b"abcd"
        other = Block(os.dup(block.descriptor))
        assert len(other.memory(1_000_000)) >= 1_000_000
        assert bytes(block.memory(1_000_000)[:4]) == b"abcd"
    finally:
        block.close()
        if other is not None:
            other.close()


def test_strides_and_subclasses_travel() -> None:
    block = Block()
    sent = {
        "turned": torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1),
        "every second": torch.arange(10)[::2],
        "one number many times": torch.ones(1).expand(3, 4),
        "marked": torch.ones(2).as_subclass(Marked),
        "weight": torch.nn.Parameter(torch.ones(2)),
        "nothing": torch.zeros(3, 0),
        "complex": torch.tensor([1 + 2j]),
        "float8": torch.ones(3).to(torch.float8_e5m2),
    }
    extent = pack(sent, block)
    found = unpack(np.frombuffer(block.memory(extent.total), np.uint8).copy(), extent)
    for name, tensor in sent.items():
        assert found[name].tolist() == tensor.tolist(), name
        assert found[name].dtype is tensor.dtype
        assert type(found[name]) is type(tensor)
        assert found[name].requires_grad is tensor.requires_grad
    assert found["turned"].stride() == sent["turned"].stride()
    block.close()


def test_too_little_memory_is_an_error_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.posix_fallocate

    def refuse(descriptor: int, offset: int, length: int) -> None:
        if length > 100_000:
            raise OSError(errno.ENOSPC, "full")
        before(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    words = r"(?s)worker process 0.*unable to allocate \d+ bytes of shared memory for a batch"
    with pytest.raises(RuntimeError, match=words):
        next(iter(DataLoader(Images(), 8, num_workers=1)))


def test_systems_without_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("memfd_create", "posix_fallocate"):
        monkeypatch.delattr(os, name)
    found = [int(batch[0, 2, 60, 60]) for batch in DataLoader(Images(8), 2, num_workers=2)]
    assert found == [0, 2, 4, 6]


def test_too_few_file_descriptors() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 12, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            iter(DataLoader(Images(), num_workers=2, prefetch_factor=20))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert len(list(DataLoader(Images(), 8, num_workers=1))) == 3


# forks -----------------------------------------------------------------------------------------


def test_workers_do_not_compute_what_their_parent_has_recorded() -> None:
    pending = torch.ones(4) * 3

    class Asks(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            recorded = len(here.trace.values)
            return recorded, pending[index].item(), counters.nodes_run, threads.limit()

    flush()
    pending = torch.ones(4) * 3
    ours = counters.nodes_run
    batches = list(DataLoader(Asks(), 2, num_workers=2))
    assert counters.nodes_run == ours + 1
    for recorded, read, nodes, limit in batches:
        assert recorded.tolist() == [0, 0]
        assert read.tolist() == [3, 3]
        assert nodes.tolist() == [ours + 1] * 2
        assert limit.tolist() == [1, 1]


def test_loading_with_numpy_alone_computes_nothing() -> None:
    class Arrays(Images):
        def __getitem__(self, index: int) -> Any:
            array = np.full((4, 4), index, np.float32)
            return torch.from_numpy(array[::-1].copy()), torch.as_tensor(array), index

    flush()
    before = counters.flushes, counters.nodes_run
    assert len([float(image[0, 0, 0]) for image, _, _ in DataLoader(Arrays(), 4)]) == 6
    assert (counters.flushes, counters.nodes_run) == before


def test_forks_beside_busy_threads() -> None:
    """Another thread computes on several cores while workers are forked that compute too."""
    code = """
        import threading
        import rushlight as torch
        from rushlight.engine.backends.cpu import threads
        from rushlight.utils.data import DataLoader

        threads.set_limit(2)
        layer = torch.nn.Conv2d(16, 64, 3)

        def compute():
            with torch.no_grad():
                product = torch.randn(400, 400) @ torch.randn(400, 400)
                return product.sum().item() + layer(torch.randn(8, 16, 48, 48)).sum().item()

        class Samples:
            def __len__(self):
                return 8

            def __getitem__(self, index):
                return compute()

        def other():
            while not done.is_set():
                compute()
                left = torch.randn(400, 400) @ torch.randn(400, 400)

        done = threading.Event()
        thread = threading.Thread(target=other)
        thread.start()
        compute()
        for _ in range(4):
            assert len(list(DataLoader(Samples(), 4, num_workers=2))) == 2
        done.set()
        thread.join()
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_are_not_forked(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import rushlight as torch
            from rushlight.utils.data import DataLoader

            class Images:
                def __len__(self):
                    return 6

                def __getitem__(self, index):
                    return torch.full((3, 64, 64), float(index)), index

            if __name__ == "__main__":
                torch.manual_seed(1)
                loader = DataLoader(
                    Images(), 2, shuffle=True, num_workers=1, multiprocessing_context="{method}"
                )
                for images, numbers in loader:
                    assert images[:, 2, 60, 60].tolist() == numbers.tolist()
                    print(*numbers.tolist())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    torch.manual_seed(1)
    expected = [batch.tolist() for batch in DataLoader(range(6), 2, shuffle=True)]
    assert [list(map(int, line.split())) for line in done.stdout.splitlines()] == expected


# datasets of tensors ---------------------------------------------------------------------------


def one_by_one(dataset: Any, numbers: list[int]) -> list[Any]:
    """A batch made sample by sample."""
    return torch.utils.data.default_collate([dataset[i] for i in numbers])


def test_batches_of_tensors_are_cut_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TensorDataset(torch.arange(24.0).view(12, 2), torch.arange(12), torch.ones(12, 0))
    part = random_split(data, [8, 4])[0]
    for dataset in (data, part):
        numbers = [3, 0, -1, 3]
        found, expected = dataset._columns(numbers), one_by_one(dataset, numbers)
        assert [x.tolist() for x in found] == [x.tolist() for x in expected]
        assert [x.dtype for x in found] == [x.dtype for x in expected]
    monkeypatch.setattr(TensorDataset, "__getitem__", None)
    monkeypatch.setattr(fetch, "columns_wanted", lambda collate: True)
    batch = fetch._MapDatasetFetcher(data, True, list, False)
    with pytest.raises(TypeError):
        batch.fetch([99])  # sample by sample, which says what is wrong


def test_datasets_that_change_samples_are_asked_for_them() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * tensor for tensor in super().__getitem__(index))

    data = Doubled(torch.arange(4))
    assert data._columns([0]) is None
    assert [x.tolist() for x in next(iter(DataLoader(data, 2)))] == [[0, 2]]
    weight = torch.ones(3, requires_grad=True)
    assert TensorDataset(weight)._columns([0]) is None
    assert next(iter(DataLoader(TensorDataset(weight), 2)))[0].requires_grad
    with pytest.raises(IndexError):
        next(iter(DataLoader(TensorDataset(torch.ones(3)), sampler=[3])))
