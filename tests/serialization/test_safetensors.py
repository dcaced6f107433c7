"""Files of safetensors: by rushlight's own functions, and by the package under ``run``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.core.dtype import BY_NAME
from rushlight.serialization import LoadError
from rushlight.utils import safetensors

package = pytest.importorskip("safetensors", reason="safetensors is not installed")


class Tied(torch.nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self.b.weight = self.a.weight


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"complex128"}))
def test_types(name: str, tmp_path: Path) -> None:
    before = {"a": torch.arange(6).to(BY_NAME[name]).view(2, 3), "b": torch.zeros(0, 2).to(
        BY_NAME[name]), "c": torch.tensor(1).to(BY_NAME[name])}  # fmt: skip
    safetensors.save_file(before, tmp_path / "a.safetensors", metadata={"format": "pt"})
    after = safetensors.load_file(tmp_path / "a.safetensors")
    assert set(after) == set(before)
    for key, tensor in before.items():
        assert (after[key].dtype, after[key].shape) == (tensor.dtype, tensor.shape)
        assert after[key].float().tolist() == tensor.float().tolist()


def test_what_the_format_does_not_have() -> None:
    base = torch.arange(6.0)
    with pytest.raises(ValueError, match=r"no torch\.complex128"):
        safetensors.save({"a": base.to(torch.complex128)})
    with pytest.raises(ValueError, match="non contiguous tensor: `a`"):
        safetensors.save({"a": base.view(2, 3).t()})
    with pytest.raises(RuntimeError, match="share memory"):
        safetensors.save({"a": base, "b": base[2:]})
    with pytest.raises(ValueError, match=r"expected torch\.Tensor"):
        safetensors.save({"a": 1})
    with pytest.raises(ValueError, match="Expected a dict"):
        safetensors.save([base])
    assert set(safetensors.load(safetensors.save({"a": base[:2], "b": base[2:]}))) == {"a", "b"}


def test_modules(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net, other = Tied(), Tied()
    safetensors.save_model(net, path)
    assert set(safetensors.load_file(path)) == {"a.weight", "a.bias", "b.bias"}
    assert safetensors.load_model(other, path) == (set(), [])
    assert (other.b.weight == net.a.weight).all()
    assert other.a.weight is other.b.weight
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bias", "weight"'):
        safetensors.load_model(torch.nn.Linear(2, 2), path)


def test_damaged_files(tmp_path: Path) -> None:
    data = safetensors.save({"a": torch.ones(4), "b": torch.arange(3)})
    for broken in (data[:20], data[:-1], data + b"x", b"\xff" * 8 + data[8:], b""):
        with pytest.raises(LoadError, match="safetensors"):
            safetensors.load(broken)
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(LoadError, match=r"safetensors\.load_file"):
        torch.load(tmp_path / "a")


def test_with_the_numbers_of_numpy(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "a.safetensors"
    safetensors.save_file({"a": torch.arange(3.0)}, path)
    assert load_file(path)["a"].tolist() == [0.0, 1.0, 2.0]
    save_file({"b": np.arange(4, dtype=np.int16)}, path)
    assert safetensors.load_file(path)["b"].dtype is torch.int16


def test_with_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch, the extra `oracle`, is not installed")
    from safetensors.torch import load_file, save_file

    path = tmp_path / "a.safetensors"
    safetensors.save_file({"a": torch.ones(2, dtype=torch.bfloat16)}, path)
    found = load_file(path)
    assert str(found["a"].dtype) == "torch.bfloat16"
    save_file({"b": found["a"] * 2}, path)
    assert safetensors.load_file(path)["b"].tolist() == [2.0, 2.0]


PROGRAM = """
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model

path = "a.safetensors"
base = torch.arange(6.0)
save_file({"a": base.reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}, path, {"k": "v"})
found = load_file(path)
assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["b"].dtype is torch.bfloat16
found["a"] += 1
assert load_file(path)["a"][0, 0] == 0
assert load(save({"a": torch.arange(3)}))["a"].tolist() == [0, 1, 2]
with safe_open(path, framework="pt") as file:
    assert sorted(file.keys()) == ["a", "b"] and file.metadata() == {"k": "v"}
    assert file.get_slice("a")[:1, 1:].tolist() == [[1, 2]]
try:
    save_file({"a": base, "b": base[2:]}, path)
    raise SystemExit("shared memory went unnoticed")
except RuntimeError as error:
    assert "share memory" in str(error)
net = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
net["b"].weight = net["a"].weight
save_model(net, path)
assert len(load_file(path)) == 3 and load_model(net, path) == (set(), [])
print("all as with PyTorch")
"""


def test_the_package_for_pytorch_under_run(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "rushlight", "run", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all as with PyTorch\n"
