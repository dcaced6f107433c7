"""What happens to the disk, to a process or to its cache never changes a loss.

A process that is killed while it compiles, a full or read-only disk, an entry that was cut off or
altered, several processes that compile one program at once: the run that follows, or goes on, gives
the losses of an undisturbed one.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.runtime import compiling
from tests.compiler import training
from tests.fuzz import modes

pytestmark = [
    pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER),
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills otherwise"),
]


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """What a run tells that nothing happens to."""
    return training.run(RUSHLIGHT_CACHE=0)


#: What kills a process at its second call of a function.
KILL = """
import os, signal
from rushlight.engine.backends.cpu.llvm import jit, store
calls = []
ordinary = {function}
def fatal(*args):
    calls.append(args)
    if len(calls) == {call}:
        {before}
        os.kill(os.getpid(), signal.SIGKILL)
    return ordinary(*args)
{function} = fatal
"""


@pytest.mark.parametrize(
    ("function", "call", "before"),
    [
        ("jit.object_code", 1, ""),
        ("jit.object_code", 2, "ordinary(*args)"),
        ("os.replace", 1, ""),
        ("os.replace", 1, "os.truncate(args[0], 100)"),
    ],
    ids=["at the first program", "after compiling", "before an entry gets its name",
         "while an entry is written"],
)  # fmt: skip
def test_killed_while_compiling(
    function: str, call: int, before: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    code = KILL.format(function=function, call=call, before=before or "pass") + training.PLAIN
    process = training.start(code, RUSHLIGHT_CACHE_DIR=tmp_path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed


def test_killed_at_any_moment(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    for delay in (0.5, 0.8):
        process = training.start(RUSHLIGHT_CACHE_DIR=tmp_path)
        try:
            process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed


def test_a_full_disk(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Every byte written to a file of the cache meets ENOSPC."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    code = (
        "import os\n"
        "from rushlight.engine.backends.cpu.llvm import store\n"
        "ordinary = os.open\n"
        "def full(path, flags, *rest):\n"
        "    if flags & os.O_CREAT:\n"
        "        os.close(ordinary(path, flags, *rest))\n"
        "        path, flags = '/dev/full', os.O_WRONLY\n"
        "    return ordinary(path, flags, *rest)\n"
        "os.open = full\n"
    )
    assert training.run(code + training.PLAIN, RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_disk_that_takes_no_bytes(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert resource.RLIMIT_FSIZE is not None
    assert training.run(code + training.PLAIN, RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed
    assert list(tmp_path.rglob("*.code")) == []


@pytest.mark.parametrize("kind", ["read-only", "a file", "cannot be made", "no home"])
def test_a_folder_that_cannot_be_written(
    kind: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    environment: dict[str, Any] = {"RUSHLIGHT_CACHE_DIR": tmp_path / "folder"}
    if kind == "read-only":
        (tmp_path / "folder").mkdir(mode=0o500)
    elif kind == "a file":
        (tmp_path / "folder").write_text("not a folder")
    elif kind == "cannot be made":
        environment["RUSHLIGHT_CACHE_DIR"] = "/proc/rushlight"
    else:
        environment = {"HOME": "/proc/nobody", "XDG_CACHE_HOME": ""}
    assert training.run(**environment) == undisturbed


DAMAGES = {
    "cut off": lambda data: data[: len(data) // 2],
    "altered": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "of something else": lambda data: os.urandom(len(data)),
    "longer": lambda data: data + b"\0" * 64,
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The entries that a run leaves in its cache."""
    folder = tmp_path_factory.mktemp("filled")
    training.run(RUSHLIGHT_CACHE_DIR=folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry(
    damage: str, tmp_path: Path, filled: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    assert filled
    for name, data in filled.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(DAMAGES[damage](data))
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed
    healed = {name: (tmp_path / name).read_bytes() for name in filled}
    assert healed == filled  # made anew, the same


def test_exchanged_entries(
    tmp_path: Path, filled: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """An entry under another one's name is not taken for it."""
    names = list(filled)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        (tmp_path / name).write_bytes(filled[other])
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed


def test_several_processes_at_once(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    together = [training.start(RUSHLIGHT_CACHE_DIR=tmp_path) for _ in range(3)]
    assert [training.told_by(process) for process in together] == [undisturbed] * 3
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path) == undisturbed


# inside one process -----------------------------------------------------------------------------


def losses() -> list[float]:
    """Losses of a small program whose steps come back."""
    torch.manual_seed(0)
    w = torch.randn(5, requires_grad=True)
    x = torch.randn(4, 5)
    found = []
    for _ in range(12):
        loss = ((x * w).sum(1).tanh() - 1).pow(2).mean()
        (gradient,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w -= 0.1 * gradient
        found.append(loss.item())
    return found


def test_an_interruption_while_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with modes.recorded():
        expected = losses()
    ordinary = compiling.Compilation.result
    interrupted: list[bool] = []

    def result(self: Any) -> Any:
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return ordinary(self)

    monkeypatch.setattr(compiling.Compilation, "result", result)
    with modes.compiled():
        with pytest.raises(KeyboardInterrupt):
            losses()
        assert interrupted
        np.testing.assert_allclose(losses(), expected, rtol=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_forked_child(when: str) -> None:
    """A child made before or after a program was compiled computes the same."""
    with modes.recorded():
        expected = losses()
    with modes.compiled():
        if when == "after":
            losses()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if np.allclose(losses(), expected, rtol=1e-5) else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        np.testing.assert_allclose(losses(), expected, rtol=1e-5)
