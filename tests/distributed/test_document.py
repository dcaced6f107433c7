"""What docs/distributed.md shows comes out, and processes started from Python behave as told."""

from __future__ import annotations

from pathlib import Path

from tests.distributed.ranks import ROOT, finish, needs_mpi, start, write
from tests.rules.test_documents import blocks

pytestmark = needs_mpi


def test_the_example_has_the_same_losses_with_any_number_of_ranks(tmp_path: Path) -> None:
    (code,) = blocks((ROOT / "docs" / "distributed.md").read_text("utf-8"), "py")
    (tmp_path / "train.py").write_text(code)
    printed = []
    for ranks in (1, 4):
        words = ["launch", "--nproc_per_node", str(ranks), "train.py"]
        status, out, err = finish(start(words, tmp_path))
        assert status == 0, err
        printed.append(out)
    assert printed[0] == printed[1]
    first, *_, last = (float(line.split()[-1]) for line in printed[0].splitlines())
    assert last < first


def test_spawned_processes(tmp_path: Path) -> None:
    program = """
    import torch.multiprocessing as mp

    def work(rank, size, folder):
        method = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=method, rank=rank, world_size=size)
        x = torch.ones(2)
        dist.all_reduce(x)
        assert x.tolist() == [size, size]
        if rank == 1:
            raise KeyError("mine")
        try:
            dist.barrier()
        except dist.DistBackendError as error:
            print(error, flush=True)

    if __name__ == "__main__":
        try:
            mp.spawn(work, args=(2, sys.argv[1]), nprocs=2)
        except mp.ProcessRaisedException as error:
            assert error.error_index == 1
            print(str(error).strip().splitlines()[-1])
    """
    file = write(tmp_path, program)
    code, out, err = finish(start(["run", str(file), str(tmp_path)], tmp_path))
    assert code == 0, err
    assert out.splitlines()[-1] == "KeyError: 'mine'"
