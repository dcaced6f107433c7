"""What is saved comes back, by every way a program can name a file."""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.core.dtype import BY_NAME
from rushlight.serialization import LoadError


def again(obj, **options):
    file = io.BytesIO()
    torch.save(obj, file, **options)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("name", BY_NAME)
def test_every_type_and_layout(name: str, new: bool) -> None:
    whole = torch.arange(12).to(BY_NAME[name])
    tensors = [whole, whole.view(3, 4).t(), whole[5], whole[2:9:3], whole[:1].expand(3), whole[:0]]
    if not new and name.startswith(("uint", "float8")) and name != "uint8":
        with pytest.raises(RuntimeError, match=f"has no torch.{name}"):
            again(tensors, _use_new_zipfile_serialization=False)
        return
    found = again(tensors, _use_new_zipfile_serialization=new)
    for before, after in zip(tensors, found, strict=True):
        assert after.dtype is before.dtype
        assert (after.shape, after.stride()) == (before.shape, before.stride())
        assert after.storage_offset() == before.storage_offset()
        assert after.float().tolist() == before.float().tolist()
    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1


def test_views_stay_views() -> None:
    base = torch.zeros(6)
    whole, part = again([base, base[2:4]])
    whole += 1
    assert part.tolist() == [1.0, 1.0]


def test_a_written_storage_is_saved_as_it_is_now() -> None:
    base = torch.zeros(2, 3)
    column = base[:, 1]
    column += 5
    base.mul_(2)
    assert again([column, base])[0].tolist() == [10.0, 10.0]


def test_two_types_in_one_memory_are_refused() -> None:
    numbers = torch.zeros(4)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        again([numbers, numbers.view(torch.int32)])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data(protocol: int) -> None:
    obj = {
        "numbers": (1, -(2**70), 2.5, 1 + 2j, True, None), "text": ["a", b"b", bytearray(b"c")],
        "sets": ({1, 2}, frozenset((3,))), "count": Counter("aab"), 5: OrderedDict(x=1),
        "torch": [torch.Size([1, 2]), torch.bfloat16, torch.device("cpu"), torch.strided],
        "numpy": [np.float64(1.5), np.arange(6).reshape(2, 3).T, np.bool_(True)],
    }  # fmt: skip
    found = again(obj, pickle_protocol=protocol)
    arrays, expected = found.pop("numpy"), obj.pop("numpy")
    assert found == obj
    for after, before in zip(arrays, expected, strict=True):
        assert type(after) is type(before)
        np.testing.assert_array_equal(after, before)


def test_a_state_dict_keeps_its_versions() -> None:
    state = again(torch.nn.BatchNorm1d(2).state_dict())
    assert type(state) is OrderedDict
    assert state._metadata[""]["version"] == 2


def test_parameters_and_attributes() -> None:
    weight = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    weight.tag = "decay"
    result = torch.nn.Parameter(torch.ones(2)) * 2
    found, tensor = again([weight, result])
    assert type(found) is torch.nn.Parameter
    assert (found.requires_grad, found.tag) == (False, "decay")
    assert tensor.requires_grad
    assert tensor.is_leaf


def test_an_optimizer_goes_on_as_before() -> None:
    def made():
        net = torch.nn.Linear(2, 1)
        return net, torch.optim.Adam(net.parameters(), lr=0.1)

    def step(net, optimizer):
        optimizer.zero_grad()
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()

    net, optimizer = made()
    step(net, optimizer)
    saved = again({"net": net.state_dict(), "optimizer": optimizer.state_dict()})
    other, second = made()
    other.load_state_dict(saved["net"])
    second.load_state_dict(saved["optimizer"])
    for pair in ((net, optimizer), (other, second)):
        step(*pair)
    assert (net.weight == other.weight).all()


def test_the_state_of_a_generator() -> None:
    torch.manual_seed(3)
    state = again(torch.get_rng_state())
    first = torch.rand(3)
    torch.set_rng_state(state)
    assert (torch.rand(3) == first).all()


# files -------------------------------------------------------------------------------------------


def test_paths_and_file_objects(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for target in (path, str(path), os.fsencode(path)):
        torch.save([1], target)
        assert torch.load(target) == [1]
    with open(path, "wb") as file:
        torch.save([2], file)
    with open(path, "rb") as file:
        assert torch.load(file) == [2]
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        torch.save([1], tmp_path / "missing" / "a.pt")
    with pytest.raises(AttributeError, match="string, path, or a file-like object"):
        torch.save([1], 5)


def test_a_stream_that_cannot_seek() -> None:
    parts: list[bytes] = []

    class Stream:
        def write(self, data) -> None:
            parts.append(bytes(data))

    torch.save({"a": torch.ones(3)}, Stream())
    assert torch.load(io.BytesIO(b"".join(parts)))["a"].tolist() == [1.0] * 3
    with pytest.raises(AttributeError, match="seekable"):
        torch.load(Stream())


def test_other_programs_can_open_the_archive(tmp_path: Path) -> None:
    torch.save([torch.ones(3), torch.ones(2, dtype=torch.int64)], tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt") as archive:
        assert archive.testzip() is None
        assert {"model/data.pkl", "model/version", "model/data/1"} <= set(archive.namelist())
        assert archive.read("model/data/0") == np.ones(3, np.float32).tobytes()


def test_data_begin_at_64_bytes(tmp_path: Path) -> None:
    torch.save([torch.full((3,), 7, dtype=torch.uint8)] * 2, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").read_bytes().index(b"\7\7\7") % 64 == 0


def test_mapped_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.arange(4.0), "b": torch.arange(4.0).view(2, 2).t()}, path)
    found = torch.load(path, mmap=True)
    found["a"] += 1
    found["b"].zero_()
    assert found["a"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert torch.load(path)["a"].tolist() == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="f must be a string filename"):
        torch.load(io.BytesIO(path.read_bytes()), mmap=True)
    torch.save([1], path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used"):
        torch.load(path, mmap=True)


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "a.pt", tmp_path / "link.pt"
    before = os.umask(0o027)
    try:
        torch.save([1], path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    link.symlink_to(path)
    torch.save([2], link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert torch.load(path) == [2]


def test_a_save_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save([1], path)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        torch.save([torch.ones(2), lambda: None], path)
    assert torch.load(path) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_the_arguments_of_old_programs(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "a.pt", pickle, pickle_protocol=2)
    assert torch.load(tmp_path / "a.pt", None, pickle, weights_only=False) == [1]
    with pytest.raises(ValueError, match="Python's pickle alone"):
        torch.save([1], tmp_path / "a.pt", pickle_module=io)
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        torch.load(tmp_path / "a.pt", pickle_module=pickle, weights_only=True)


# places ------------------------------------------------------------------------------------------


def tagged(tmp_path: Path, where: str) -> Path:
    """A file whose storages say that they were elsewhere."""
    path = tmp_path / "tagged.pt"
    torch.save([torch.ones(2)], path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    length = len(where).to_bytes(4, "little")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(
                name, data.replace(b"X\3\0\0\0cpu", b"X" + length + where.encode())
            )  # fmt: skip
    return path


def test_map_location(tmp_path: Path) -> None:
    path = tagged(tmp_path, "cuda:0")
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        torch.load(path)
    asked = []

    def stay(storage, where):
        asked.append((type(storage), storage.nbytes(), where))
        return storage

    for wanted in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"}, stay):
        assert torch.load(path, map_location=wanted)[0].tolist() == [1.0, 1.0]
    assert asked == [(torch.UntypedStorage, 8, "cuda:0")]
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path, map_location=lambda storage, where: None)
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA"):
        torch.load(path, map_location="cuda")
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        torch.load(tagged(tmp_path, "moon"))


# what is no checkpoint ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not at all", "failed finding central directory"),
        (b"PK\3\4 and then something else", "failed reading zip archive"),
        (pickle.dumps({"a": 1}), "Invalid magic number"),
        (b"\x10\0\0\0\0\0\0\0" + b"{}" + b" " * 14, "safetensors"),
    ],
)
def test_other_files(data: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        torch.load(io.BytesIO(data))


def test_an_empty_file() -> None:
    with pytest.raises(EOFError, match="Ran out of input"):
        torch.load(io.BytesIO())


def test_the_error_is_what_programs_catch() -> None:
    assert issubclass(LoadError, RuntimeError)
    assert issubclass(LoadError, pickle.UnpicklingError)
