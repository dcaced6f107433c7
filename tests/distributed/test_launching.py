"""The launchers: variables, options, how ranks end, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rushlight.cli.launch import main
from rushlight.distributed._rendezvous import SHARED_MEMORY, world_id
from rushlight.distributed.launch import spelling
from rushlight.distributed.run import make_parser, settings_of
from tests.distributed.ranks import (
    ROOT,
    environment,
    finish,
    launch,
    left_behind,
    needs_mpi,
    run,
    start,
    write,
)

pytestmark = needs_mpi

VARIABLES = """
print(" ".join(f"{n}={os.environ[n]}" for n in (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR",
    "TORCHELASTIC_RESTART_COUNT", "OMP_NUM_THREADS")), *sys.argv[1:])
assert int(os.environ["MASTER_PORT"]) > 0
assert "rushlight" in torch.__file__ and __name__ == "__main__"
"""

ENDING = """
import signal
from rushlight.distributed import _link
from rushlight.distributed._world import world
_link.GRACE["left"] = 0.3
dist.init_process_group("gloo")
rank = dist.get_rank()
dist.all_reduce(torch.ones(3))
print("job", world.link.name)
if rank == 1:
    print("my last words", file=sys.stderr, flush=True)
    how = sys.argv[1]
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise KeyError("mine")
    if how == "_exit":
        os._exit(4)
    if how == "leave":
        sys.exit(0)
dist.all_reduce(torch.ones(3))
print("never reached")
"""


def shared_memory(out: str) -> list[str]:
    """What is left of the memory of the job whose name a rank has printed."""
    (name,) = {line.split()[1] for line in out.splitlines() if line.startswith("job ")}
    return [n for n in os.listdir(SHARED_MEMORY) if f"_{world_id(name):x}_" in n]


def test_variables_and_arguments(tmp_path: Path) -> None:
    out = run(tmp_path, VARIABLES, 2, "--epoch=4", "-x", options=("--standalone",))
    common = "WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 TORCHELASTIC_RESTART_COUNT=0"
    for rank in (0, 1):
        head = f"RANK={rank} LOCAL_RANK={rank} GROUP_RANK=0 {common} OMP_NUM_THREADS="
        (line,) = [line for line in out.splitlines() if line.startswith(head)]
        assert line.endswith(" --epoch=4 -x")
        assert int(line.split("OMP_NUM_THREADS=")[1].split()[0]) >= 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("kill", "was killed by signal 9 (SIGKILL)"),
        ("raise", "ended with exit code 1"),
        ("_exit", "ended with exit code 4"),
    ],
)
def test_a_rank_that_goes_wrong_ends_the_run(how: str, words: str, tmp_path: Path) -> None:
    began = time.monotonic()
    code, out, err = launch(tmp_path, ENDING, 3, how)
    assert time.monotonic() - began < 30
    assert code == 1
    assert "never reached" not in out
    (line,) = [line for line in err.splitlines() if line.startswith("rushlight launch:")]
    assert line.startswith("rushlight launch: rank 1 (local rank 1, process ")
    assert words in line
    assert "    my last words" in err
    if how == "raise":
        assert "    KeyError: 'mine'" in err
    assert left_behind(str(tmp_path)) == []
    assert shared_memory(out) == []


def test_a_single_rank_leaves_no_memory(tmp_path: Path) -> None:
    program = """
    from rushlight.distributed._world import world
    dist.init_process_group()
    dist.barrier()
    print("job", world.link.name)
    os.kill(os.getpid(), 9)
    """
    code, out, err = launch(tmp_path, program, 1)
    assert code == 1
    assert "rank 0 (local rank 0, process " in err
    assert shared_memory(out) == []


def test_a_rank_that_leaves_early_is_named(tmp_path: Path) -> None:
    code, _, err = launch(tmp_path, ENDING, 2, "leave")
    assert code == 1
    assert "all_reduce on rank 0: rank 1 takes no part any more: its program has ended" in err


def test_ranks_end_with_a_killed_launcher(tmp_path: Path) -> None:
    file = write(tmp_path, "print('started', flush=True)\ntime.sleep(60)\n")
    process = start(["launch", "--nproc_per_node=2", str(file)], tmp_path)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while left_behind(str(file)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_behind(str(file)) == []


def test_ctrl_c_reaches_the_ranks(tmp_path: Path) -> None:
    program = """
    dist.init_process_group()
    print("started", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        open(f"saved{dist.get_rank()}", "w").close()
    """
    file = write(tmp_path, program)
    process = start(["launch", "--nproc_per_node=2", str(file)], tmp_path)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process, timeout=30)
    assert code == 130
    assert (tmp_path / "saved0").exists()
    assert (tmp_path / "saved1").exists()


def test_the_older_launcher_gives_the_local_rank(tmp_path: Path) -> None:
    program = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--local_rank", type=int, default=-1)
    parser.add_argument("--dataset")
    chosen = parser.parse_args()
    print("local rank", chosen.local_rank, chosen.dataset, os.environ["LOCAL_RANK"])
    """
    file = write(tmp_path, program)
    words = ["run", "-m", "torch.distributed.launch", "--nproc_per_node=2"]
    code, out, err = finish(start([*words, str(file), "--dataset=imagenet"], tmp_path))
    assert code == 0, err
    found = sorted(out.splitlines())
    assert found == ["local rank 0 imagenet 0", "local rank 1 imagenet 1"]


def test_how_the_local_rank_is_spelled(tmp_path: Path) -> None:
    newer = write(tmp_path, 'OPTION = "--local-rank"')
    parser = make_parser()
    chosen = parser.parse_args([str(newer), "--epoch=4"])
    chosen.local_rank_option = spelling(str(newer))
    assert settings_of(chosen).command(2)[-3:] == [str(newer), "--local-rank=2", "--epoch=4"]
    chosen.local_rank_option = ""
    assert settings_of(chosen).command(2)[-2:] == [str(newer), "--epoch=4"]
    assert spelling("no_such_file.py") == "--local_rank"


def test_restarts_logs_and_modules(tmp_path: Path) -> None:
    program = """
    count = os.environ["TORCHELASTIC_RESTART_COUNT"]
    print("out", count, os.environ["RANK"])
    print("err", count, os.environ["RANK"], file=sys.stderr)
    sys.exit(count == "0")
    """
    write(tmp_path, program, "trainer.py")
    words = ["run", "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts=1",
             "--log-dir=logs", "-r", "0:3", "-t", "1:1", "-m", "trainer"]  # fmt: skip
    code, out, err = finish(start(words, tmp_path, PYTHONPATH=f"{ROOT}:{tmp_path}"))
    assert code == 0, err
    assert "Starting all ranks again: 1 of 1" in err
    logs = tmp_path / "logs" / "none"
    assert (logs / "attempt_1" / "0" / "stdout.log").read_text() == "out 1 0\n"
    assert (logs / "attempt_1" / "0" / "stderr.log").read_text() == "err 1 0\n"
    assert (logs / "attempt_1" / "1" / "stdout.log").read_text() == "out 1 1\n"
    assert "[default1]:out 1 1\n" in out
    assert "out 1 0" not in out
    assert "err 1 1" in err


def test_the_debugger_has_the_terminal(tmp_path: Path) -> None:
    program = """
    dist.init_process_group()
    value = torch.tensor([dist.get_rank() + 41.0])
    dist.all_reduce(value)
    print("the end")
    """
    file = write(tmp_path, program)
    process = start(["launch", "--nproc_per_node=2", "--debug-rank=1", str(file)], tmp_path)
    code, out, err = finish(process, "break program.py:10\ncontinue\np value.item()\ncontinue\n")
    assert code == 0, out + err
    assert "program.py(1)<module>()" in out
    assert "(Pdb) 83.0" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--nnodes=2"], "several nodes need --node-rank and --master-addr"),
        (["--nnodes=1:3"], "the number of nodes cannot change"),
        (["--nproc_per_node=gpu"], "Cuda is not available."),
        (["--debug-rank=5"], "--debug-rank 5 is not in the range"),
        (["--redirects=3"], "--redirects and --tee need --log-dir"),
    ],
)
def test_refused_options(options: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*options, "script.py"]) == 2
    assert words in capfd.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SUM = """
dist.init_process_group()
x = torch.ones(100_000) * (dist.get_rank() + 1)
dist.all_reduce(x)
assert x.unique().tolist() == [sum(range(dist.get_world_size() + 1))]
print("sum", int(x[0]), os.environ.get("GROUP_RANK"))
"""


def test_two_nodes(tmp_path: Path) -> None:
    file, port = write(tmp_path, SUM), free_port()
    words = ["launch", "--nnodes=2", "--nproc_per_node=2", "--master_addr=localhost",
             f"--master_port={port}"]  # fmt: skip
    nodes = [start([*words, f"--node_rank={node}", str(file)], tmp_path) for node in (1, 0)]
    for node, process in zip((1, 0), nodes, strict=True):
        code, out, err = finish(process)
        assert (code, out) == (0, f"sum 10 {node}\n" * 2), err


def test_a_lost_node_ends_the_other(tmp_path: Path) -> None:
    program = """
    dist.init_process_group()
    print("started", flush=True)
    if dist.get_rank() == 1:
        os.kill(os.getpid(), 9)
    dist.barrier()
    """
    file, port = write(tmp_path, program), free_port()
    words = ["launch", "--nnodes=2", "--master_addr=localhost", f"--master_port={port}"]
    nodes = [start([*words, f"--node_rank={node}", str(file)], tmp_path) for node in (0, 1)]
    (first, _, shown), (second, _, other) = (finish(process) for process in nodes)
    assert (first, second) == (1, 1)
    assert "rank 1, which runs on another node, was lost" in shown
    assert "rank 1 (local rank 0, process " in other
    assert "SIGKILL" in other


@pytest.mark.parametrize("method", ["env://", "file"])
def test_without_a_launcher(method: str, tmp_path: Path) -> None:
    program = SUM.replace(
        "dist.init_process_group()",
        "method, rank = sys.argv[1], int(sys.argv[2])\n"
        "given = {} if method == 'env://' else {'rank': rank, 'world_size': 2}\n"
        "dist.init_process_group('gloo', init_method=method, **given)",
    )
    file, port = write(tmp_path, program), free_port()
    given = {"file": f"file://{tmp_path}/meeting"}
    processes = []
    for rank in (1, 0):
        here = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        words = ["run", str(file), given.get(method, method), str(rank)]
        variables = {**here, "RANK": str(rank)} if method == "env://" else {}
        processes.append(start(words, tmp_path, **variables))
    for process in processes:
        code, out, err = finish(process)
        assert (code, out) == (0, "sum 3 None\n"), err
    assert left_behind(f"_rendezvous.py 2 localhost {port}") == []


def test_under_mpiexec(tmp_path: Path) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("the mpich wheel's mpiexec is not beside this Python")
    file = write(tmp_path, SUM)
    words = [str(mpiexec), "-n", "2", sys.executable, "-m", "rushlight", "run", str(file)]
    done = subprocess.run(
        words, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "sum 3 None\n" * 2), done.stderr


def test_who_does_not_come_is_named(tmp_path: Path) -> None:
    program = """
    from datetime import timedelta
    if int(os.environ["RANK"]) != 1:
        dist.init_process_group(timeout=timedelta(seconds=1))
    """
    code, _, err = launch(tmp_path, program, 3)
    assert code == 1
    assert "Timed out after 1 s waiting for clients: rank 1 of 3 has not come." in err


def test_a_late_rank_is_named(tmp_path: Path) -> None:
    program = """
    from datetime import timedelta
    dist.init_process_group(timeout=timedelta(seconds=0.5))
    if dist.get_rank() == 1:
        time.sleep(2)
        sys.exit()
    for wait in (lambda: dist.all_reduce(torch.ones(1)), dist.monitored_barrier):
        began = time.process_time()
        try:
            wait()
        except dist.DistBackendError as error:
            print(error, time.process_time() - began < 0.3)  # waiting keeps no core busy
    """
    code, out, err = launch(tmp_path, program, 2)
    assert code == 0, err
    assert out.splitlines() == [
        "all_reduce on rank 0: Timed out waiting 500ms for it to complete True",
        "Rank 0: Rank 1 failed to pass monitoredBarrier in 500 ms True",
    ]
