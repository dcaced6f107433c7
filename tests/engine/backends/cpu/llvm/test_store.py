"""The cache on disk: what it gives back, what it takes for nothing, what it throws away."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.engine.backends.cpu.llvm import store
from rushlight.engine.backends.cpu.llvm.store import Store, key
from rushlight.engine.core import config as config_module
from rushlight.engine.core.config import config, read_environment
from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.loops import Buffer, For, Index, Kernel, Loop, Store as Write, load
from tests.engine.backends.cpu.llvm.interpret import Native

CONTENT = bytes(range(256)) * 20
NAME = key("a")


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "made" / "when needed")


def entry(kept: Store, name: str = NAME) -> Path:
    assert kept.folder is not None
    return kept.folder / f"{name}.code"


def test_round_trip(kept: Store) -> None:
    assert kept.get(NAME) is None
    assert kept.put(NAME, CONTENT)
    assert kept.get(NAME) == CONTENT
    assert Store(kept.folder).get(NAME) == CONTENT
    assert kept.get(key("b")) is None
    assert kept.put(NAME, b"")
    assert kept.get(NAME) == b""


def test_keys_differ_where_anything_differs() -> None:
    names = {key("a"), key("b"), key("a", "b"), key("b", "a"), key("ab"), key("a", "", "b")}
    assert len(names) == 6


@pytest.mark.parametrize("size", [0, 3, 17, 40, 49, 100, 5000])
def test_cut_off_entries_are_misses(kept: Store, size: int) -> None:
    kept.put(NAME, CONTENT)
    path = entry(kept)
    path.write_bytes(path.read_bytes()[:size])
    assert kept.get(NAME) is None
    assert kept.put(NAME, CONTENT)
    assert kept.get(NAME) == CONTENT


@pytest.mark.parametrize("place", [0, 20, 60, 1000, -1])
def test_altered_entries_are_misses(kept: Store, place: int) -> None:
    kept.put(NAME, CONTENT)
    data = bytearray(entry(kept).read_bytes())
    data[place] ^= 1
    entry(kept).write_bytes(bytes(data))
    assert kept.get(NAME) is None


def test_entries_under_another_name_are_misses(kept: Store) -> None:
    kept.put(NAME, CONTENT)
    other = key("other")
    os.replace(entry(kept), entry(kept, other))
    assert kept.get(other) is None


def test_what_is_no_file_is_a_miss(kept: Store) -> None:
    kept.put(key("first"), CONTENT)
    entry(kept).mkdir()
    assert kept.get(NAME) is None
    assert not kept.put(NAME, CONTENT)
    assert not list(entry(kept).parent.glob("*.part"))


@pytest.mark.skipif(not hasattr(os, "chown") or os.geteuid() != 0, reason="needs to be root")
def test_files_of_other_users_are_misses(kept: Store) -> None:
    kept.put(NAME, CONTENT)
    os.chown(entry(kept), 12345, 12345)
    assert kept.get(NAME) is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    kept = Store(tmp_path, limit=10 * (len(CONTENT) + 100))
    names = [key(str(k)) for k in range(9)]
    for place, name in enumerate(names):
        kept.put(name, CONTENT)
        os.utime(entry(kept, name), (1000 + place, 1000 + place))
    assert kept.usage().entries == 9
    assert kept.get(names[0]) == CONTENT  # used just now
    kept.put(key("x"), CONTENT)
    kept.put(key("y"), CONTENT)
    assert kept.get(names[0]) == CONTENT
    assert kept.get(names[1]) is None
    assert kept.get(key("y")) == CONTENT
    assert kept.usage().bytes <= kept.limit


def test_the_size_stays_bounded(tmp_path: Path) -> None:
    kept = Store(tmp_path, limit=40_000)
    for k in range(60):
        kept.put(key(str(k)), CONTENT)
        assert kept.usage().bytes <= 40_000
    assert kept.usage().entries >= 5
    assert not kept.put(NAME, bytes(50_000))
    assert kept.get(NAME) is None


def test_a_new_process_counts_what_is_there(tmp_path: Path) -> None:
    before = Store(tmp_path)
    for k in range(20):
        before.put(key(str(k)), CONTENT)
    Store(tmp_path, limit=30_000).put(NAME, CONTENT)
    assert before.usage().bytes <= 30_000


def test_files_never_finished_are_removed_after_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / "a.part", tmp_path / "b.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 8000,) * 2)
    Store(tmp_path).put(NAME, CONTENT)
    assert not old.exists()
    assert new.exists()


def test_usage_and_clear(kept: Store) -> None:
    assert kept.usage() == store.Usage(kept.folder, 0, 0)
    kept.put(NAME, CONTENT)
    kept.put(key("b"), CONTENT)
    usage = kept.usage()
    assert usage.entries == 2
    assert usage.bytes == 2 * entry(kept).stat().st_size
    kept.clear()
    assert kept.usage().entries == 0
    assert kept.get(NAME) is None


def test_no_folder() -> None:
    kept = Store(None)
    assert not kept.put(NAME, CONTENT)
    assert kept.get(NAME) is None
    assert kept.usage() == store.Usage(None, 0, 0)
    kept.clear()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = Store(tmp_path / "file" / "inside")
    assert not kept.put(NAME, CONTENT)
    assert kept.get(NAME) is None
    assert kept.usage().entries == 0


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_only_read(kept: Store) -> None:
    kept.put(NAME, CONTENT)
    assert kept.folder is not None
    kept.folder.chmod(0o500)
    assert kept.get(NAME) == CONTENT
    assert not kept.put(key("b"), CONTENT)
    kept.folder.chmod(0o700)


@pytest.mark.parametrize("function", ["replace", "utime", "fdopen", "unlink", "scandir"])
def test_a_disk_that_refuses(kept: Store, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.put(NAME, CONTENT)

    def refuse(*arguments: Any, **options: Any) -> Any:
        if function == "fdopen":
            os.close(arguments[0])
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(store.os, function, refuse)
    assert kept.get(NAME) == CONTENT
    kept.put(key("b"), CONTENT)
    kept.usage()
    kept.clear()
    monkeypatch.undo()
    assert not list(entry(kept).parent.glob("*.part"))


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "cache_dir", None)
    monkeypatch.setattr(config, "cache_home", None)
    monkeypatch.setattr(config, "cache", True)
    assert store.folder() == Path.home() / ".cache" / "rushlight"
    monkeypatch.setattr(config, "cache_home", "relative")
    assert store.folder() == Path.home() / ".cache" / "rushlight"
    monkeypatch.setattr(config, "cache_home", str(tmp_path))
    assert store.folder() == tmp_path / "rushlight"
    monkeypatch.setattr(config, "cache_dir", str(tmp_path / "x"))
    assert store.folder() == tmp_path / "x"
    monkeypatch.setattr(config, "cache", False)
    assert store.folder() is None
    monkeypatch.setattr(config, "cache", True)
    monkeypatch.setattr(config, "cache_dir", None)
    monkeypatch.setattr(config, "cache_home", None)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(store.Path, "home", staticmethod(homeless))
    assert store.folder() is None


def test_variables() -> None:
    read = read_environment(
        {"RUSHLIGHT_CACHE": "0", "RUSHLIGHT_CACHE_DIR": "/x y", "XDG_CACHE_HOME": "/c"}
    )
    assert (read.cache, read.cache_dir, read.cache_home) == (False, "/x y", "/c")
    empty = read_environment({"RUSHLIGHT_CACHE_DIR": "", "XDG_CACHE_HOME": ""})
    assert (empty.cache, empty.cache_dir, empty.cache_home) == (True, None, None)
    with pytest.raises(ValueError, match="RUSHLIGHT_CACHE"):
        read_environment({"RUSHLIGHT_CACHE": "maybe"})


# with code -------------------------------------------------------------------------------------


def doubling() -> Kernel:
    x, y, i = Buffer(float32), Buffer(float32), Loop(100)
    index = Index(0, ((i, 1),))
    return Kernel("k", [x, y], [y], [], [For(i, [Write(y, index, load(x, index) * 2.0)])])


def works(native: Native) -> bool:
    native()
    x, y = native.kept
    return bool((y == x * 2).all())


def arrays() -> list[np.ndarray]:
    return [np.arange(100, dtype=np.float32), np.zeros(100, np.float32)]


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A cache that the code generator uses during the test."""
    made = Store(tmp_path)
    monkeypatch.setattr(store, "shared", lambda: made)
    return made


def test_code_is_found_again(used: Store) -> None:
    first = Native(doubling(), arrays())
    assert not first.code.cached
    assert works(first)
    second = Native(doubling(), arrays())
    assert second.code.cached
    assert works(second)
    assert used.usage().entries == 1


def test_spoilt_code_is_made_again(used: Store) -> None:
    Native(doubling(), arrays())
    assert used.folder is not None
    (path,) = used.folder.glob("*.code")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    again = Native(doubling(), arrays())
    assert not again.code.cached
    assert works(again)
    assert Native(doubling(), arrays()).code.cached


PROGRAM = """
    import sys
    from tests.engine.backends.cpu.llvm.test_store import Native, arrays, doubling, works
    native = Native(doubling(), arrays())
    print(int(native.code.cached), int(works(native)))
"""


def start(**environment: str) -> subprocess.Popen[str]:
    path = ":".join([str(Path(__file__).parents[5]), *(p for p in sys.path if p)])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": path, **environment},
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    return out.strip()


def test_other_processes_find_it(tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    at_once = [start(RUSHLIGHT_CACHE_DIR=folder) for _ in range(3)]
    ended = [process.communicate(timeout=120) for process in at_once]
    assert all(out.strip().endswith("1") and not errors for out, errors in ended), ended
    assert said(start(RUSHLIGHT_CACHE_DIR=folder)) == "1 1"
    assert said(start(RUSHLIGHT_CACHE_DIR=folder, RUSHLIGHT_CACHE="0")) == "0 1"


@pytest.mark.parametrize("home", ["", "/nonexistent", "/dev/null"])
def test_a_process_without_a_home_works(home: str) -> None:
    assert said(start(HOME=home)).endswith("1")


def test_every_switch_is_documented() -> None:
    source = Path(config_module.__file__).read_text()
    for name in ("RUSHLIGHT_CACHE", "RUSHLIGHT_CACHE_DIR", "XDG_CACHE_HOME"):
        assert f"#: {name}" in source
