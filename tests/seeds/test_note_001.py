"""Note 001: the sixty-minute blitz, an image classifier, two-layer networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.seeds.conftest import room
from tests.seeds.data_sets import write_cifar, write_mnist

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def test_making_tensors(play) -> None:
    run = play("001", "tensors")
    assert "tensor([5.5000, 3.0000])\n" in run.printed
    assert "dtype=torch.float64" in run.printed
    assert "torch.Size([5, 3])\n" in run.printed
    assert run["x"].shape == (5, 3)


def test_view(play) -> None:
    run = play("001", "view", given=lambda torch: {"torch": torch})
    assert run.printed == "torch.Size([4, 4]) torch.Size([16]) torch.Size([2, 8])\n"
    run["x"][0, 0] = 7
    assert run["y"][0].item() == run["z"][0, 0].item() == 7


def test_numpy_bridge(play) -> None:
    run = play("001", "to_numpy", given=lambda torch: {"torch": torch})
    run["a"].add_(1)
    assert run["b"].tolist() == [2] * 5
    run = play("001", "from_numpy", given=lambda torch: {"torch": torch})
    np.add(run["a"], 1, out=run["a"])
    assert run["b"].tolist() == [2] * 5


def test_cuda_tensors(play) -> None:
    """The cell does nothing where there is no GPU, as the author says."""
    run = play("001", "cuda", given=lambda torch: {"torch": torch, "x": torch.ones(2)})
    assert run.printed == ""


def test_a_network_prints(play) -> None:
    assert play("001", "network").printed == (
        "Net(\n"
        "  (conv1): Conv2d(1, 6, kernel_size=(3, 3), stride=(1, 1))\n"
        "  (conv2): Conv2d(6, 16, kernel_size=(3, 3), stride=(1, 1))\n"
        "  (fc1): Linear(in_features=576, out_features=120, bias=True)\n"
        "  (fc2): Linear(in_features=120, out_features=84, bias=True)\n"
        "  (fc3): Linear(in_features=84, out_features=10, bias=True)\n"
        ")\n"
    )


def test_its_parameters(play) -> None:
    run = play("001", "network", "parameters")
    # the author noted torch.Size([6]), which is the bias that follows
    assert run.printed.splitlines()[-2:] == ["10", "torch.Size([6, 1, 3, 3])"]
    assert run["params"][1].shape == (6,)


def test_forward_and_backward(play) -> None:
    run = play("001", "network", "forward", "backward")
    assert run["out"].shape == (1, 10)
    assert run.printed.rstrip().endswith("grad_fn=<AddmmBackward0>)")
    assert all(p.grad is not None for p in run["net"].parameters())


def test_the_loss(play) -> None:
    run = play("001", "network", "loss")
    # in 2020 the node was called MseLossBackward
    assert re.fullmatch(r"tensor\(\d\.\d{4}, grad_fn=<MseLossBackward0>\)", last_line(run.printed))


def last_line(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2]


def test_backprop(play) -> None:
    run = play("001", "network", "loss", "backprop")
    printed = run.printed.partition("conv1.bias.grad before backward\n")[2]
    # in 2020 zero_grad() wrote zeros; since PyTorch 2.0 it forgets the gradients
    assert printed.startswith("None\nconv1.bias.grad after backward\ntensor([")
    assert run["net"].conv1.bias.grad.shape == (6,)


def test_updating_the_weights(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {"torch": torch}

    run = play("001", "network", "loss", "backprop", "update", given=given)
    first, second = run["net"].conv1.weight, run["net"].fc3.bias
    assert (first - first.grad * -0.01 - first).abs().max().item() > 0
    assert second.grad.abs().max().item() > 0


# the image classifier ------------------------------------------------------------------------------


def images(count: int) -> Any:
    """Stands for CIFAR10: ``count`` batches of 4 pictures, each class with a shade of its own."""

    def given(torch: Any) -> dict[str, Any]:
        from torch.utils.data import DataLoader, TensorDataset

        labels = torch.randint(0, 10, (4 * count,))
        pictures = torch.randn(4 * count, 3, 32, 32) * 0.1
        pictures += (labels.float().view(-1, 1, 1, 1) - 4.5) / 4.5
        samples = TensorDataset(pictures, labels)
        return {
            "torch": torch,
            "trainloader": DataLoader(samples, batch_size=4, shuffle=True),
            "testloader": DataLoader(samples, batch_size=4),
            "classes": CLASSES,
        }

    return given


CLASSIFIER = ("classifier", "classifier_loss")


def test_training_the_classifier(play) -> None:
    run = play("001", *CLASSIFIER, "classifier_train", given=images(6))
    assert run.printed == "Finished Training\n"
    assert run["loss"].item() < 2.31


class ManyOnce:
    """A loader of 2000 batches in the first epoch and of a few in the others."""

    def __init__(self, loader: Any) -> None:
        self._loader, self._first = loader, True

    def __iter__(self) -> Any:
        rounds, self._first = 2000 // len(self._loader) if self._first else 1, False
        for _ in range(rounds):
            yield from self._loader


def test_the_classifier_prints_every_2000_batches(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        made = images(5)(torch)
        return {**made, "trainloader": ManyOnce(made["trainloader"])}

    # 2000 steps let rounding grow, so the second decimal may differ from PyTorch's
    blocks = (*CLASSIFIER, "classifier_train")
    run = play("001", *blocks, given=given, digits=5e-2, values=None)
    assert re.fullmatch(r"\[1,  2000\] loss: \d\.\d{3}\nFinished Training\n", run.printed)


def test_saving_and_loading_the_classifier(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {**images(1)(torch), "args": (), "kwargs": {}}

    run = play(
        "001", "classifier", "the_model_class", "classifier_save", "classifier_load", given=given
    )
    for one, two in zip(run["net"].parameters(), run["the_model"].parameters(), strict=True):
        assert one.tolist() == two.tolist()


TRAINED = (*CLASSIFIER, "classifier_train")


def test_predictions(play) -> None:
    run = play("001", *TRAINED, "classifier_predict", given=images(4))
    assert run["images"].shape == (4, 3, 32, 32)
    assert run["outputs"].shape == (4, 10)
    assert re.fullmatch(r"Predicted: ( +\w+){4}", last_line(run.printed))


def test_accuracy(play) -> None:
    run = play("001", *TRAINED, "classifier_accuracy", given=images(8))
    assert run["total"] == 32
    assert re.fullmatch(
        r"Accuracy of the network on the 10000 test images: \d+ %", last_line(run.printed)
    )


def test_accuracy_by_class(play) -> None:
    run = play("001", *TRAINED, "classifier_by_class", given=images(30), values=5e-3)
    lines = run.printed.splitlines()[-10:]
    assert all(
        re.fullmatch(rf"Accuracy of {name:>5} : [ \d]{{1,2}}\d %", line)
        for name, line in zip(CLASSES, lines, strict=True)
    )
    assert sum(run["class_total"]) == 120
    assert not any(isinstance(n, type(run["outputs"])) for n in run["class_correct"])


def test_the_device_of_the_classifier(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        made = images(1)(torch)
        return {**made, "data": next(iter(made["trainloader"]))}

    run = play("001", "classifier", "classifier_device", given=given)
    assert run.printed == "cpu\n"  # the author had a GPU: cuda:0


CIFAR = ("torchvision.datasets.cifar", "torchvision.transforms")


@room(*CIFAR)
def test_the_classifier_on_cifar10(play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loaders of the tutorial that the note follows, on made-up pictures in CIFAR10's files."""

    def given(torch: Any) -> dict[str, Any]:
        import torchvision
        import torchvision.transforms as transforms

        data_set = torchvision.datasets.CIFAR10
        for name, value in write_cifar(Path("data"), data_set, 20, list(CLASSES)).items():
            monkeypatch.setattr(data_set, name, value)
        transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
        )
        made = {"torch": torch, "classes": CLASSES}
        for name, train in (("trainloader", True), ("testloader", False)):
            pictures = data_set("./data", train=train, download=True, transform=transform)
            made[name] = torch.utils.data.DataLoader(
                pictures, batch_size=4, shuffle=train, num_workers=2
            )
        return made

    blocks = (*TRAINED, "classifier_predict", "classifier_accuracy", "classifier_by_class")
    run = play("001", *blocks, given=given, beside=("torchvision",))
    assert len(run["trainloader"].dataset) == 100
    assert run["images"].shape == (4, 3, 32, 32)
    lines = run.printed.splitlines()
    assert lines[0] == "Finished Training"
    assert re.fullmatch(r"Predicted: ( +\w+){4}", lines[1])
    # the pictures of a class are all alike, and a few hundred steps tell some of them apart
    assert int(re.findall(r"\d+", lines[2])[1]) >= 20
    assert len(lines) == 13


# preparing pictures --------------------------------------------------------------------------------


@room("torchvision.transforms")
def test_transforms(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        import torchvision
        from PIL import Image

        pixels = np.arange(300 * 400 * 3).reshape(300, 400, 3) % 256
        return {"torchvision": torchvision, "picture": Image.fromarray(pixels.astype(np.uint8))}

    run = play("001", "transforms", given=given, beside=("torchvision",))
    for name in ("train_transform", "val_transform"):
        seen = run[name](run["picture"])
        assert tuple(seen.shape) == (3, 224, 224)
        assert -2.2 < seen.min().item() < seen.max().item() < 2.7
    assert repr(run["val_transform"]).splitlines()[0] == "Compose("


# Lightning -----------------------------------------------------------------------------------------


@room("torchvision.datasets.mnist", "pytorch_lightning", "pytorch_lightning.metrics.functional")
def test_lit_mnist(play) -> None:
    """The module as it stands, and what its reader does next: fit it and test it."""

    def given(torch: Any) -> dict[str, Any]:
        write_mnist(Path("."), 60000, 1000)
        return {}

    run = play("001", "lit_mnist", given=given, beside=("torchvision", "pytorch_lightning"))
    with run.as_program():
        pl = run["pl"]
        pl.seed_everything(1)
        model = run["LitMNIST"]()
        trainer = pl.Trainer(
            max_epochs=1, limit_train_batches=200, limit_val_batches=5, limit_test_batches=5,
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
        )  # fmt: skip
        trainer.fit(model)
        assert trainer.callback_metrics["val_acc"] > 0.9
        (results,) = trainer.test(model)
    assert (len(model.mnist_train), len(model.mnist_val)) == (55000, 5000)
    assert results["val_acc"] > 0.9
    assert results["val_loss"] < 1.5


# learning with examples ----------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["two_layers", "two_layers_module"])
def test_two_layer_networks(play, block: str) -> None:
    run = play("001", block, digits=2e-3, values=2e-3)
    lines = [line.split() for line in run.printed.splitlines()]
    assert [int(step) for step, _ in lines] == [99, 199, 299, 399, 499]
    losses = [float(loss) for _, loss in lines]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-2
