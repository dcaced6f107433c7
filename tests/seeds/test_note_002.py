"""Note 002: modules, optimizers, data sets and loaders, wrapped loaders, devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.seeds.conftest import room
from tests.seeds.data_sets import write_mnist


def test_a_module(play) -> None:
    model = play("002", "module")["Model"]()
    assert [name for name, _ in model.named_children()] == ["conv1", "conv2"]
    assert repr(model).splitlines()[1] == (
        "  (conv1): Conv2d(1, 20, kernel_size=(5, 5), stride=(1, 1))"
    )


def one_gradient(torch: Any) -> dict[str, Any]:
    """A model with gradients, as after ``loss.backward()``."""
    model = torch.nn.Linear(3, 2)
    model(torch.ones(4, 3)).pow(2).mean().backward()
    return {
        "torch": torch,
        "model": model,
        "lr": 0.5,
        "opt": torch.optim.SGD(model.parameters(), lr=0.5),
        "before": [p.detach().clone() for p in model.parameters()],
        "gradients": [p.grad.clone() for p in model.parameters()],
    }


def check_stepped(run: Any) -> None:
    """Every parameter went down by half its gradient, and the gradients are gone."""
    for p, before, gradient in zip(
        run["model"].parameters(), run["before"], run["gradients"], strict=True
    ):
        assert p.tolist() == (before - gradient * 0.5).tolist()
        assert p.grad is None
        assert p.requires_grad


def test_a_step_by_hand(play) -> None:
    check_stepped(play("002", "manual_step", given=one_gradient))


def test_a_step_of_an_optimizer(play) -> None:
    check_stepped(play("002", "optimizer_step", given=one_gradient))


def pictures(torch: Any) -> dict[str, Any]:
    """Ten pictures as rows, with labels, for training and validation."""
    from torch.utils.data import DataLoader, TensorDataset

    x_train, y_train = torch.arange(7840.0).view(10, 784), torch.arange(10)
    return {
        "torch": torch,
        "TensorDataset": TensorDataset,
        "DataLoader": DataLoader,
        "x_train": x_train,
        "y_train": y_train,
        "train_ds": TensorDataset(x_train, y_train),
        "valid_ds": TensorDataset(x_train, y_train),
        "dataset": TensorDataset(x_train, y_train),
        "bs": 4,
        "i": 1,
    }


def test_a_tensor_dataset(play) -> None:
    run = play("002", "tensor_dataset", given=pictures)
    assert run["xb"].tolist() == run["x_train"][4:8].tolist()
    assert run["yb"].tolist() == [4, 5, 6, 7]
    assert len(run["train_ds"]) == 10


def test_the_arguments_of_a_loader(play) -> None:
    run = play("002", "loader_signature", given=pictures)
    assert len(run["loader"]) == 10
    assert [y.tolist() for _, y in run["loader"]] == [[n] for n in range(10)]


def test_a_loader(play) -> None:
    run = play("002", "loader", given=pictures)
    assert [len(y) for _, y in run["train_dl"]] == [4, 4, 2]


def test_wrapped_loaders(play) -> None:
    run = play("002", "get_data", "wrapped_loader", given=pictures)
    assert [tuple(x.shape) for x, _ in run["train_dl"]] == [(4, 1, 28, 28)] * 2 + [(2, 1, 28, 28)]
    assert [tuple(x.shape) for x, _ in run["valid_dl"]] == [(8, 1, 28, 28), (2, 1, 28, 28)]
    assert (len(run["train_dl"]), len(run["valid_dl"])) == (3, 2)


def test_wrapped_loaders_on_a_device(play) -> None:
    run = play(
        "002", "get_data", "wrapped_loader", "device", "wrapped_loader_on_device", given=pictures
    )
    assert str(run["dev"]) == "cpu"
    seen = [number for _, labels in run["train_dl"] for number in labels.tolist()]
    assert sorted(seen) == list(range(10))
    assert [n for _, labels in run["valid_dl"] for n in labels.tolist()] == list(range(10))


@room("torch.utils.tensorboard", "torchvision.datasets.mnist", "torchvision.models")
def test_tensorboard(play, tmp_path: Path) -> None:
    def given(torch: Any) -> dict[str, Any]:
        write_mnist(Path("mnist_train"), 64, 10)
        return {}

    run = play("002", "tensorboard_mnist", given=given, warns=True)
    # torchvision has given up the positional argument of resnet50(False), and says so
    assert all("pretrained" in message or "weights" in message for message in run.warnings)
    assert tuple(run["images"].shape) == (64, 1, 28, 28)
    assert tuple(run["grid"].shape) == (3, 242, 242)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (tmp_path / "rushlight" / "runs").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert events.Tags()["images"] == ["images"]
    (picture,) = events.Images("images")
    assert (picture.step, picture.width, picture.height) == (0, 242, 242)
    names = [node.name for node in events.Graph().node]
    assert any("layer4" in name for name in names)
