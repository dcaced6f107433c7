"""A file cannot run code, and cannot ask for more memory than it has."""

from __future__ import annotations

import fractions
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight import _pickle_reader
from rushlight._pickle_reader import MAX_DEPTH
from rushlight.serialization import LoadError
from tests.serialization import mutate


def archive(pickled: bytes, storages: dict[str, bytes] | None = None, **options: Any) -> io.BytesIO:
    """A zip file with this description and these storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as made:
        made.writestr("a/data.pkl", pickled)
        for key, data in (storages or {}).items():
            made.writestr(f"a/data/{key}", data)
    file.seek(0)
    return file


def tensor(size: str, stride: str, offset: str = "I0\n", count: int = 4) -> bytes:
    """A pickle of one tensor over storage 0, its sizes as pickled texts."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu"
    storage += b"J" + struct.pack("<i", count) + b"tQ"
    layout = offset.encode() + b"(" + size.encode() + b"t(" + stride.encode() + b"t"
    return (
        b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n("
        + storage + layout + b"\x89ccollections\nOrderedDict\n)RtR."
    )  # fmt: skip


FOUR = {"0": bytes(16)}


def test_the_pickle_above_is_one() -> None:
    assert torch.load(archive(tensor("I2\nI2\n", "I2\nI1\n"), FOUR)).tolist() == [[0.0] * 2] * 2


class Attack:
    """Unpickled by Python, it writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.place}",)


@pytest.mark.parametrize("new", [True, False])
def test_no_code_is_run(tmp_path: Path, new: bool) -> None:
    file, mark = io.BytesIO(), tmp_path / "mark"
    torch.save({"weight": torch.ones(1), "attack": Attack(mark)}, file,
               _use_new_zipfile_serialization=new)  # fmt: skip
    for again in (1, 2):
        file.seek(0)
        with pytest.raises(LoadError, match="Weights only load failed"):
            torch.load(file)
        assert not mark.exists(), again
    file.seek(0)
    torch.load(file, weights_only=False)
    assert mark.exists()  # so the attack is one


@pytest.mark.parametrize("attack", mutate.HOSTILE)
def test_hostile_pickles(attack: bytes) -> None:
    try:
        found = torch.load(archive(b"\x80\2" + attack + b"."))
    except LoadError:
        return
    mutate.signature(found)  # some is nothing but plain data


@pytest.mark.parametrize("module", ["os", "sys", "posix", "subprocess"])
def test_some_modules_are_never_allowed(module: str) -> None:
    file = archive(f"\x80\2c{module}\nsystem\n(R.".encode("latin-1"))
    allowed = torch.serialization.safe_globals([(print, f"{module}.system")])
    with allowed, pytest.raises(LoadError, match="is blocked"):
        torch.load(file)


def test_the_error_names_the_class_and_the_remedy() -> None:
    file = io.BytesIO()
    torch.save([fractions.Fraction(1, 3)], file)
    with pytest.raises(LoadError) as caught:
        torch.load(io.BytesIO(file.getvalue()))
    text = str(caught.value)
    assert "Unsupported global: GLOBAL fractions.Fraction was not an allowed global" in text
    assert text.index("state_dict") < text.index("weights_only=False")
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == ["fractions.Fraction"]


def test_allowed_classes() -> None:
    file = io.BytesIO()
    torch.save([fractions.Fraction(1, 3), Point(1)], file)
    with torch.serialization.safe_globals([fractions.Fraction, Point]):
        third, point = torch.load(io.BytesIO(file.getvalue()))
        assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == []
    assert third == fractions.Fraction(1, 3)
    assert point.x == 1
    with pytest.raises(LoadError, match="Unsupported global"):
        torch.load(io.BytesIO(file.getvalue()))


class Point:
    """A class of the user's."""

    def __init__(self, x: int) -> None:
        self.x = x


# sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ("L1000000000000L\n", "I1\n", "I0\n"),
        ("I4\n", "I1\n", "I1\n"),
        ("I2\n", "I4\n", "I0\n"),
        ("I2\n", "L9223372036854775807L\n", "I0\n"),
        ("I2\n", "I-1\n", "I1\n"),
        ("I-1\n", "I1\n", "I0\n"),
        ("I1\n", "I1\n", "I-1\n"),
        ("I0\n", "I1\n", "I5\n"),
        ("I2\n", "I1\nI1\n", "I0\n"),
        ("I1\n" * 65, "I1\n" * 65, "I0\n"),
        ("L1000000000000L\n", "I0\n", "I0\n"),
        ("F2.0\n", "I1\n", "I0\n"),
        ("N", "I1\n", "I0\n"),
        ("I4\n", "I1\n", "N"),
    ],
)
def test_tensors_that_cannot_be(size: str, stride: str, offset: str) -> None:
    tracemalloc.start()
    with pytest.raises(LoadError):
        torch.load(archive(tensor(size, stride, offset), FOUR))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("count", [5, 3, -1, (1 << 31) - 1])
def test_storages_of_another_size(count: int) -> None:
    with pytest.raises(LoadError, match=r"bytes where|another size"):
        torch.load(archive(tensor("I1\n", "I1\n", count=count), FOUR))


def test_an_expanded_tensor_takes_no_memory() -> None:
    found = torch.load(archive(tensor("I1000000000\n", "I0\n"), FOUR))
    assert found.shape == (1_000_000_000,)


def test_an_old_file_that_announces_more_than_it_has() -> None:
    file = io.BytesIO()
    torch.save([torch.zeros(4)], file, _use_new_zipfile_serialization=False)
    data = file.getvalue().replace(b"K\4Ntq", b"J\xff\xff\xff\x7fNtq")
    with pytest.raises(LoadError, match="announces 8589934588 bytes"):
        torch.load(io.BytesIO(data))


def test_a_compressed_entry_is_refused() -> None:
    bomb = archive(tensor("I4\n", "I1\n"), {"0": bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(LoadError, match="compressed or encrypted"):
        torch.load(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_overlapping_entries_are_refused() -> None:
    data = archive(tensor("I4\n", "I1\n"), {"0": bytes(16), "1": bytes(16)}).getvalue()
    first, second = data.rfind(b"PK\1\2", 0, data.rfind(b"PK\1\2")), data.rfind(b"PK\1\2")
    changed = bytearray(data)
    changed[second + 42 : second + 46] = changed[first + 42 : first + 46]
    with pytest.raises(LoadError, match=r"overlaps|another name"):
        torch.load(io.BytesIO(bytes(changed)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_of_entries() -> None:
    for names, message in (
        (["a/data.pkl", "a/data.pkl"], "two entries"),
        (["a/data.pkl", "b/data.pkl"], "data.pkl"),
        (["data.pkl"], "subdirectory"),
        (["a/data.pkl", "../b"], "is called"),
        (["a/data.pkl", "/b"], "is called"),
        (["a/data.pkl", "a/constants.pkl"], "TorchScript"),
    ):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            for name in names:
                made.writestr(name, b"\x80\2N.")
        file.seek(0)
        with pytest.raises(LoadError, match=message):
            torch.load(file)


# depth -------------------------------------------------------------------------------------------


def test_depth_of_containers() -> None:
    deep = b"(" * (MAX_DEPTH + 1) + b"l" * (MAX_DEPTH + 1)
    with pytest.raises(LoadError, match="deeper than"):
        torch.load(archive(b"\x80\2" + deep + b"."))


@pytest.mark.parametrize(
    "small", [b"\x8f", b"h\0)R", b"h\1h\2R"], ids=["sets", "dictionaries", "tensors"]
)
def test_many_objects_of_few_bytes(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tensor("I1\n", "I1\n")[2:-2]  # without the call
    function, arguments = one[: one.index(b"_v2\n") + 4], one[one.index(b"_v2\n") + 4 :]
    begin = b"\x80\4ccollections\nOrderedDict\nq\0" + function + b"q\1" + arguments + b"q\2"
    monkeypatch.setattr(_pickle_reader, "MEMORY", 1 << 18)
    with pytest.raises(LoadError, match="far more memory than its size"):
        torch.load(archive(begin + small * 20_000 + b".", FOUR))


@pytest.mark.parametrize("protocol", [2, 4])
def test_many_objects_that_somebody_saved(protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pickle_reader, "MEMORY", 1 << 18)
    obj = [{"a": [number], "b": {number}, "c": OrderedDict()} for number in range(10_000)]
    tensors = [torch.full((1,), number) for number in range(1000)]
    for saved in (obj, tensors, [float(n) for n in range(10_000)]):
        file = io.BytesIO()
        torch.save(saved, file, pickle_protocol=protocol)
        file.seek(0)
        assert torch.load(file) == saved


def test_keys_that_would_be_hashed_without_end() -> None:
    tuples = b")" + b"\x85" * 100_000
    doubled = b")" + b"q\0h\0\x86" * 60
    for key in (tuples, doubled):
        with pytest.raises(LoadError, match="deeply nested tuple"):
            torch.load(archive(b"\x80\2}" + key + b"K\1s."))


def test_a_deep_tuple_is_no_danger() -> None:
    found = torch.load(archive(b"\x80\2)" + b"\x85" * 100_000 + b"."))
    assert isinstance(found, tuple)


def test_tensors_cannot_be_rewired() -> None:
    rebuild = b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\n"
    inner = tensor("I4\n", "I1\n")
    arguments = inner[inner.index(b"_v2\n(") + 4 : -2]
    for name in ("_value", "shape", "__class__", "backward"):
        state = b"}X" + struct.pack("<I", len(name)) + name.encode() + b"K\1s"
        pickled = b"\x80\2" + rebuild + b"Tensor\n" + arguments + state + b"tR."
        with pytest.raises(LoadError, match=r"attribute|replace"):
            torch.load(archive(pickled, FOUR))


def test_an_ordered_dict_cannot_be_rewired() -> None:
    pickled = b"\x80\2ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\1sb."
    with pytest.raises(LoadError, match="may not replace"):
        torch.load(archive(pickled))


def test_python_never_unpickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("pickle was asked")

    file = io.BytesIO()
    torch.save(mutate.contents()[1], file)
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert torch.load(io.BytesIO(file.getvalue()))["epoch"] == 3


# changed files -----------------------------------------------------------------------------------


def test_changed_files(interpreted: None) -> None:
    counts = mutate.run(first=0, count=400)
    assert sum(counts.values()) == 400
    assert counts["same"] > 10
    assert counts["refused"] > 200


def test_the_watch_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    files = mutate.originals()
    expected = dict.fromkeys(files, ("anything", "else"))
    drawn = ((n, *mutate.mutated(n, files)) for n in range(100))
    number = next(n for n, old, _, change in drawn if old[:2] == b"PK" and change in mutate.RAW)
    monkeypatch.setattr(torch, "load", lambda file: torch.ones(1), raising=False)
    with pytest.raises(mutate.Violation, match="unnoticed"):
        mutate.judge(number, files, expected)
    monkeypatch.setattr(torch, "load", lambda file: os.system("true"), raising=False)
    with pytest.raises(mutate.Violation, match=r"os\.system"):
        mutate.judge(number, files, expected)
