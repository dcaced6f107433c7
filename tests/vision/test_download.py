"""Downloads and archives: resumed, checked, whole or not there at all."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rushlight.vision.datasets import _download, utils
from tests.vision.archives import md5, tar
from tests.vision.server import Server, serving

DATA = os.urandom(300_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.files["data.bin"] = DATA
        yield found


def test_a_file_arrives(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    utils.download_url(server.url + "data.bin", tmp_path / "new", md5=md5(DATA))
    assert (tmp_path / "new" / "data.bin").read_bytes() == DATA
    assert os.listdir(tmp_path / "new") == ["data.bin"]
    assert "data.bin" in capsys.readouterr().err  # the bar
    utils.download_url(server.url + "data.bin", tmp_path / "new", md5=md5(DATA))
    assert len(server.asked) == 1  # what is there is not asked for


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.break_after = 100_000
    with pytest.raises(RuntimeError, match=r"Error downloading data\.bin") as caught:
        utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert server.url in str(caught.value)
    assert os.listdir(tmp_path) == ["data.bin.part"]
    utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert os.listdir(tmp_path) == ["data.bin"]
    wanted = server.asked[-1][1]
    assert wanted is not None
    assert 0 < int(wanted.removeprefix("bytes=").rstrip("-")) <= 100_000


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_complete_part_needs_nothing_more(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA)
    utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["data.bin"] = b"something else"
    with pytest.raises(RuntimeError, match="corrupted.*expected " + md5(DATA)):
        utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert os.listdir(tmp_path) == []


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path) -> None:
    urls = [server.url + "missing.bin", "http://127.0.0.1:9/data.bin", server.url + "data.bin"]
    _download.fetch(urls, tmp_path / "data.bin", md5(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA
    with pytest.raises(RuntimeError) as caught:
        _download.fetch(urls[:2], tmp_path / "other.bin", None)
    assert "404" in str(caught.value)
    assert "refused" in str(caught.value)


def test_a_changed_file_is_brought_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"damaged")
    utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_several_at_once(server: Server, tmp_path: Path) -> None:
    def work() -> None:
        utils.download_url(server.url + "data.bin", tmp_path, md5=md5(DATA))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["data.bin"]
    assert (tmp_path / "data.bin").read_bytes() == DATA


FILES = {"a.txt": b"one", "inner/b.txt": b"two"}


def _zipped() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as bundle:
        for name, data in FILES.items():
            bundle.writestr(name, data)
    return memory.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.tar", tar(FILES)),
        ("x.tar.gz", tar(FILES, "w:gz")),
        ("x.tgz", tar(FILES, "w:gz")),
        ("x.tar.xz", tar(FILES, "w:xz")),
        ("x.tbz2", tar(FILES, "w:bz2")),
        ("x.zip", _zipped()),
    ],
)
def test_archives(tmp_path: Path, server: Server, name: str, data: bytes) -> None:
    server.files[name] = data
    goal = tmp_path / "goal"
    (goal / "inner").mkdir(parents=True)
    (goal / "inner" / "kept.txt").write_bytes(b"kept")
    utils.download_and_extract_archive(
        server.url + name, tmp_path, goal, md5=md5(data), remove_finished=True
    )
    found = {path.relative_to(goal).as_posix(): path for path in goal.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        **FILES, "inner/kept.txt": b"kept"
    }  # fmt: skip
    assert not (tmp_path / name).exists()


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "labels.gz").write_bytes(gzip.compress(b"numbers"))
    assert utils.extract_archive(str(tmp_path / "labels.gz")) == str(tmp_path / "labels")
    assert (tmp_path / "labels").read_bytes() == b"numbers"
    assert utils.extract_archive(tmp_path / "labels.gz") == tmp_path / "labels"
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"numbers" * 1000)[:-9])
    with pytest.raises(EOFError):
        utils.extract_archive(tmp_path / "broken.gz")
    assert sorted(os.listdir(tmp_path)) == ["broken.gz", "labels", "labels.gz"]


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "evil.tar").write_bytes(tar({"../outside.txt": b"x"}))
    with pytest.raises(tarfile.OutsideDestinationError):
        utils.extract_archive(tmp_path / "evil.tar", tmp_path / "goal")
    assert not (tmp_path / "outside.txt").exists()
    assert os.listdir(tmp_path / "goal") == []


@pytest.mark.parametrize(
    ("name", "message"), [("x", "has no suffixes"), ("x.7z", "Unknown compression or archive type")]
)
def test_kinds_that_are_not_known(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        utils.extract_archive(tmp_path / name)


def test_lists_and_arguments(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").touch()
    assert utils.list_dir(tmp_path) == ["folder"]
    assert utils.list_dir(tmp_path, prefix=True) == [str(tmp_path / "folder")]
    assert utils.list_files(tmp_path, ".txt") == ["file.txt"]
    assert utils.list_files(tmp_path, ".txt", prefix=True) == [str(tmp_path / "file.txt")]
    assert utils.check_md5(tmp_path / "file.txt", md5(b""))
    assert not utils.check_integrity(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="Expected type str for argument split, but got type <cla"):
        utils.verify_str_arg(3, "split")
    with pytest.raises(ValueError, match="Unknown value 'x' for argument split"):
        utils.verify_str_arg("x", "split", ("train",))
