"""Files cross both ways with PyTorch."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.engine.core.dtype import BY_NAME
from tests.serialization.architectures import ARCHITECTURES, answer, build, input_for

torch = pytest.importorskip("torch", reason="PyTorch, the extra `oracle`, is not installed")

FORMATS = pytest.mark.parametrize("new", [True, False])
WAYS = pytest.mark.parametrize("way", ["to PyTorch", "from PyTorch"])
SIDES = {"to PyTorch": (rushlight, torch), "from PyTorch": (torch, rushlight)}


def sent(obj: Any, saver: Any, loader: Any, new: bool = True, **options: Any) -> Any:
    """An object saved by one side and loaded by the other."""
    file = io.BytesIO()
    saver.save(obj, file, _use_new_zipfile_serialization=new)
    file.seek(0)
    return loader.load(file, **options)


def numbers(tensor: Any) -> Any:
    """The elements, in a type that all have in common."""
    return (tensor if tensor.is_complex() else tensor.float()).tolist()


@WAYS
@FORMATS
@pytest.mark.parametrize("name", BY_NAME)
def test_types_and_layouts(name: str, new: bool, way: str) -> None:
    saver, loader = SIDES[way]
    if not new and name.startswith(("uint", "float8")) and name != "uint8":
        pytest.skip("PyTorch cannot read such types in the old format itself")
    whole = saver.arange(12).to(getattr(saver, name))
    tensors = [whole, whole.view(3, 4).t(), whole[5], whole[2:9:3], whole[:1].expand(3), whole[:0]]
    found = sent(tensors, saver, loader, new)
    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1
    for before, after in zip(tensors, found, strict=True):
        assert str(after.dtype) == str(before.dtype)
        assert tuple(after.shape) == tuple(before.shape)
        assert tuple(after.stride()) == tuple(before.stride())
        assert after.storage_offset() == before.storage_offset()
        assert numbers(after) == numbers(before)


@WAYS
@FORMATS
def test_plain_data(new: bool, way: str) -> None:
    saver, loader = SIDES[way]

    def made(side: Any) -> Any:
        return {
            "size": side.Size([1, 2]), "dtype": side.bfloat16, "device": side.device("cpu"),
            "layout": side.strided, "ordered": OrderedDict(a=(1, [None, True, b"x", {1, 2}])),
            "numbers": [2**70, -1, 2.5, 1 + 2j], 3: "text",
        }  # fmt: skip

    assert sent(made(saver), saver, loader, new) == made(loader)


@WAYS
def test_parameters_and_attributes(way: str) -> None:
    saver, loader = SIDES[way]
    weight = saver.nn.Parameter(saver.ones(2))
    weight.tag = "decay"
    plain = saver.ones(2)
    plain.tag = 5
    found, other = sent([weight, plain], saver, loader)
    assert type(found) is loader.nn.Parameter
    assert (found.tag, other.tag) == ("decay", 5)
    assert found.requires_grad


def test_a_conjugated_tensor() -> None:
    found = sent(torch.tensor([1 + 2j]).conj(), torch, rushlight)
    assert found.tolist() == [1 - 2j]


def test_files_without_checksums() -> None:
    torch.serialization.set_crc32_options(False)
    try:
        assert sent([torch.arange(3)], torch, rushlight)[0].tolist() == [0, 1, 2]
    finally:
        torch.serialization.set_crc32_options(True)


def test_types_that_rushlight_lacks() -> None:
    with pytest.raises(rushlight.serialization.LoadError, match="sparse"):
        sent(torch.eye(2).to_sparse(), torch, rushlight)


@WAYS
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_optimizers_go_on_as_before(name: str, way: str) -> None:
    def made(side: Any) -> tuple[Any, Any]:
        net = side.nn.Linear(3, 2)
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(side.optim, name)(net.parameters(), lr=0.1, **options)
        return net, optimizer

    def step(side: Any, net: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        net(side.arange(6.0).view(2, 3)).pow(2).sum().backward()
        optimizer.step()

    saver, loader = SIDES[way]
    net, optimizer = made(saver)
    step(saver, net, optimizer)
    saved = sent({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, saver, loader)
    other, second = made(loader)
    other.load_state_dict(saved["net"])
    second.load_state_dict(saved["optimizer"])
    for _ in range(2):
        step(saver, net, optimizer)
        step(loader, other, second)
    np.testing.assert_allclose(
        other.weight.detach().numpy(), net.weight.detach().numpy(), rtol=1e-5, atol=1e-6
    )


@WAYS
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name: str, way: str) -> None:
    saver, loader = SIDES[way]
    source, target = build(name, saver, 1), build(name, loader, 2)
    asked = input_for(name)
    expected = answer(source, saver, asked)
    target.load_state_dict(sent(source.state_dict(), saver, loader))
    np.testing.assert_allclose(answer(target, loader, asked), expected, rtol=1e-5, atol=1e-5)


# whole modules -----------------------------------------------------------------------------------

MODULES: dict[str, tuple[tuple[Any, ...], tuple[int, ...] | None]] = {
    "Linear": ((2, 3), (4, 2)), "Conv2d": ((2, 3, 3), (1, 2, 5, 5)),
    "ConvTranspose2d": ((1, 1, 2), (1, 1, 3, 3)), "BatchNorm2d": ((3,), (2, 3, 2, 2)),
    "LayerNorm": ((3,), (2, 3)), "GroupNorm": ((1, 2), (1, 2, 3)), "LSTM": ((2, 3), (3, 1, 2)),
    "GRU": ((2, 3), (3, 1, 2)), "RNNCell": ((1, 1), (2, 1)), "Embedding": ((3, 2), None),
    "MultiheadAttention": ((4, 2), None), "TransformerEncoderLayer": ((4, 2, 8), (3, 1, 4)),
    "Transformer": ((4, 2, 1, 1, 4), None), "LazyLinear": ((3,), None), "PReLU": ((), (3,)),
    "Dropout": ((), (3,)), "Flatten": ((), (2, 1, 3)), "MaxPool2d": ((2,), (1, 1, 4, 4)),
    "Upsample": ((None, 2), (1, 1, 2, 2)), "CrossEntropyLoss": ((), None), "GELU": ((), (3,)),
}  # fmt: skip


@WAYS
@FORMATS
@pytest.mark.parametrize("name", MODULES)
def test_whole_modules(name: str, new: bool, way: str) -> None:
    saver, loader = SIDES[way]
    arguments, shape = MODULES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about lazy modules and nested tensors
        source = getattr(saver.nn, name)(*arguments).eval()
        found = sent(source, saver, loader, new, weights_only=False)
    assert type(found) is getattr(loader.nn, name)
    assert not found.training
    if name != "LazyLinear":
        before, after = source.state_dict(), found.state_dict()
        assert list(before) == list(after)
        for key, tensor in before.items():
            np.testing.assert_array_equal(after[key].numpy(), tensor.numpy())
    if shape is not None:
        asked = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        theirs, ours = (net(side.from_numpy(asked)) for net, side in ((source, saver),
                                                                      (found, loader)))  # fmt: skip
        if isinstance(theirs, tuple):
            theirs, ours = theirs[0], ours[0]
        np.testing.assert_allclose(
            ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6
        )


@WAYS
def test_whole_networks(way: str) -> None:
    saver, loader = SIDES[way]
    nn = saver.nn
    net = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(1, 2, 3), act=nn.ReLU(), flat=nn.Flatten(), out=nn.Linear(8, 2))
    )
    net.heads = nn.ModuleDict({"a": nn.ModuleList([nn.Linear(1, 1)])})
    net.activation = nn.functional.gelu
    found = sent(net, saver, loader, weights_only=False)
    assert found.activation is loader.nn.functional.gelu
    assert repr(found) == repr(net)


def test_a_file_of_modules_is_refused_by_default() -> None:
    with pytest.raises(
        rushlight.serialization.LoadError, match=r"GLOBAL torch\.nn\.modules\.linear"
    ):
        sent(torch.nn.Linear(1, 1), torch, rushlight)
    with pytest.raises(Exception, match="Weights only load failed"):
        sent(rushlight.nn.Linear(1, 1), rushlight, torch)


def test_names_that_rushlight_lacks() -> None:
    with pytest.raises(AttributeError, match=r"the file needs torch\.ao"):
        sent(torch.ao.quantization.QuantStub(), torch, rushlight, weights_only=False)
