"""Note 003: tensors, shapes, gradients, layers, and the loops of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def bare(torch: Any) -> dict[str, Any]:
    """What the notebook has imported before."""
    return {"torch": torch, "np": np}


def samples(torch: Any) -> dict[str, Any]:
    """The data behind ``file``, and everything the loops need."""
    from torch.utils.data import DataLoader, TensorDataset

    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(64, 10, generator=generator)
    targets = inputs[:, :1] * 2 - inputs[:, 1:2]
    pairs = TensorDataset(inputs, targets)
    return {
        "torch": torch,
        "nn": torch.nn,
        "file": "train.csv",
        "read": lambda file: pairs,
        "batch_size": 16,
        "device": torch.device("cpu"),
        "n_epochs": 6,
        "dv_set": DataLoader(pairs, 16, shuffle=False),
        "tt_set": DataLoader(inputs, 16, shuffle=False),
        "path": "model.ckpt",
    }


def test_a_dataset_and_its_loader(play) -> None:
    run = play("003", "dataset", "loader", given=samples)
    assert len(run["dataset"]) == 64
    batches = list(run["dataloader"])
    assert [tuple(x.shape) for x, _ in batches] == [(16, 10)] * 4


def test_creating_tensors(play) -> None:
    run = play("003", "creating")
    pair, zeros, ones = (
        "tensor([[ 1., -1.], [-1., 1.]])",
        "tensor([[0., 0.], [0., 0.]])",
        "tensor([[[1., 1., 1., 1., 1.], [1., 1., 1., 1., 1.]]])",
    )
    assert run.printed.replace(" ", "").replace("\n", "") == "".join(
        (pair, pair, zeros, ones)
    ).replace(" ", "")


def test_arithmetic(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {"x": torch.tensor([1.0, 2.0, 4.0]), "y": torch.tensor([3.0, 5.0, 7.0])}

    run = play("003", "arithmetic", given=given)
    assert run["z"].tolist() == [-2, -3, -3]
    assert run["y"].tolist() == [1, 4, 16]


@pytest.mark.parametrize(
    ("block", "shapes"),
    [
        ("transpose", [[2, 3], [3, 2]]),
        ("squeeze", [[1, 2, 3], [2, 3]]),
        ("unsqueeze", [[2, 3], [2, 1, 3]]),
        ("cat", [[2, 6, 3]]),
        ("linear", [[64, 32], [64]]),
    ],
)
def test_shapes(play, block: str, shapes: list[list[int]]) -> None:
    run = play("003", block, given=bare)
    assert run.printed == "".join(f"torch.Size({shape})\n" for shape in shapes)


def test_the_cpu(play) -> None:
    run = play("003", "device_cpu", given=lambda torch: {"torch": torch, "x": torch.ones(2)})
    assert run.printed == "False\n"
    assert run["x"].tolist() == [1, 1]


def test_no_gpu(play) -> None:
    """Without a GPU the line is refused as PyTorch's CPU build refuses it."""
    with pytest.raises((AssertionError, RuntimeError), match="CUDA"):
        play("003", "device_cuda", given=lambda torch: {"torch": torch, "x": torch.ones(2)})


def test_the_gradient(play) -> None:
    run = play("003", "gradient", given=bare)
    assert " ".join(run.printed.split()) == "tensor([[ 2., 0.], [-2., 2.]])"
    assert run["x"].grad.tolist() == [[2, 0], [-2, 2]]


LOOPS = ("dataset", "network_sequential", "train")


def test_two_spellings_of_one_network(play) -> None:
    one = play("003", "network_sequential")["MyModel"]()
    two = play("003", "network_layers")["MyModel"]()
    two.load_state_dict(
        {
            name: value
            for name, value in zip(two.state_dict(), one.state_dict().values(), strict=True)
        }
    )
    x = one.net[0].weight.detach()[:5]
    assert one(x).tolist() == two(x).tolist()


@pytest.mark.parametrize("network", ["network_sequential", "network_layers"])
def test_training(play, network: str) -> None:
    run = play("003", "dataset", network, "train", given=samples)
    assert run["loss"].item() < 3.5
    assert run["pred"].shape == (16, 1)


def test_validation(play) -> None:
    run = play("003", *LOOPS, "validate", given=samples)
    assert not run["model"].training
    assert isinstance(run["avg_loss"], float)
    assert 0 < run["avg_loss"] < 5
    assert not run["loss"].requires_grad


def test_testing(play) -> None:
    run = play("003", *LOOPS, "predict", given=samples)
    assert [tuple(p.shape) for p in run["preds"]] == [(16, 1)] * 4
    assert not any(p.requires_grad for p in run["preds"])


def test_saving_and_loading(play) -> None:
    run = play("003", *LOOPS, "save_load", given=samples)
    assert list(run["ckpt"]) == ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]
    for name, value in run["model"].state_dict().items():
        assert value.tolist() == run["ckpt"][name].tolist()
