"""Python's own ``pickle`` and ``copy`` know tensors and modules."""

from __future__ import annotations

import copy
import pickle

import pytest

import rushlight as torch
from rushlight.engine.core.dtype import BY_NAME


def by_pickle(obj, protocol=5):
    return pickle.loads(pickle.dumps(obj, protocol))


WAYS = pytest.mark.parametrize("way", [by_pickle, copy.deepcopy])


@WAYS
@pytest.mark.parametrize("name", BY_NAME)
def test_types(name: str, way) -> None:
    before = torch.arange(6).to(BY_NAME[name]).view(2, 3).t()
    after = way(before)
    assert (after.dtype, after.shape, after.stride()) == (before.dtype, (3, 2), (1, 3))
    assert after.float().tolist() == before.float().tolist()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_protocols(protocol: int) -> None:
    assert by_pickle(torch.ones(2), protocol).tolist() == [1.0, 1.0]


@WAYS
def test_shared_memory_stays_shared(way) -> None:
    base = torch.arange(6.0)
    whole, part, turned = way([base, base[2:4], base.view(2, 3).t()])
    whole += 1
    assert part.tolist() == [3.0, 4.0]
    assert turned[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert base.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert whole.untyped_storage() is turned.untyped_storage()


def test_a_copy_shares_memory() -> None:
    base = torch.zeros(2)
    other = copy.copy(base)
    other += 1
    assert base.tolist() == [1.0, 1.0]


@WAYS
def test_modules_with_tied_weights(way) -> None:
    net = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    net["b"].weight = net["a"].weight
    found = way(net)
    assert found["a"].weight is found["b"].weight
    assert found["a"].weight.is_leaf
    assert (found["a"].weight == net["a"].weight).all()
    with torch.no_grad():
        found["a"].weight.zero_()
    assert net["a"].weight.abs().sum() > 0


@WAYS
def test_what_a_tensor_carries(way) -> None:
    weight, plain = torch.nn.Parameter(torch.ones(2)), torch.ones(2)
    weight.tag = plain.tag = ["decay"]
    found, other = way([weight, plain])
    assert type(found) is torch.nn.Parameter
    assert found.requires_grad
    assert other.tag == ["decay"]
    assert other.tag is not plain.tag
    assert hasattr(found, "tag") == (way is by_pickle)  # as in PyTorch


def test_a_copied_gradient() -> None:
    weight = torch.ones(2, requires_grad=True)
    (weight * 2).sum().backward()
    assert copy.deepcopy(weight).grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(weight * 2)


@WAYS
def test_an_optimizer(way) -> None:
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    other, second = way((net, optimizer))
    assert second.param_groups[0]["params"][0] is other.weight
    assert second.state[other.weight]["step"] == 1


def test_storages() -> None:
    base = torch.arange(4, dtype=torch.int16)
    storage = base[1:].untyped_storage()
    assert storage is base.untyped_storage()
    assert (storage.nbytes(), len(storage), storage[2], storage[2:4].tolist()) == (8, 8, 1, [1, 0])
    assert storage.data_ptr() == base.data_ptr()
    assert list(base.storage()) == [0, 1, 2, 3]
    assert base.storage()[2] == 2
    assert by_pickle(storage).tolist() == storage.tolist()
    assert "of size 8" in repr(storage)
    with pytest.raises(RuntimeError, match="step of 1"):
        storage[::2]
    with pytest.raises(AssertionError, match="CUDA"):
        storage.cuda()


def test_a_storage_from_a_file(tmp_path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(8)))
    storage = torch.UntypedStorage.from_file(path, False, 8)
    tensor = torch.asarray(storage[2:6], dtype=torch.uint8)
    assert tensor.tolist() == [2, 3, 4, 5]
