"""Note 000: tensors, autograd, datasets, a training step, saving."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.seeds.conftest import room


def test_tensors_and_arrays(play) -> None:
    run = play("000", "numpy_both_ways")
    assert run["x_tensor"].shape == (5, 3)
    assert np.shares_memory(run["x_numpy"], run["x_tensor"].numpy())
    assert np.shares_memory(run["y_numpy"], run["y_tensor"].numpy())
    assert run["y_tensor"].tolist() == run["y_numpy"].tolist()
    assert run.printed.startswith("tensor([[0.4963, 0.7682, 0.0885],\n        [0.1320")
    assert run.printed.endswith("dtype=torch.float64)\n")


def test_a_tensor_has_no_grad_fn(play) -> None:
    run = play("000", "no_grad_fn")
    # the author printed x, and the note shows it on one line
    assert " ".join(run.printed.split()) == (
        "tensor([[1., 1., 1.], [1., 1., 1.], [1., 1., 1.]]) None"
    )


def test_a_variable_has(play) -> None:
    assert play("000", "variable").printed.startswith("<AddBackward0 object at 0x")


def test_values_of_a_variable_from_numpy(play) -> None:
    run = play("000", "variable_from_numpy")
    assert " ".join(run.printed.split()) == (
        "tensor([[ 9., 16.], [25., 36.]], dtype=torch.float64, grad_fn=<MulBackward0>) "
        "tensor(21.5000, dtype=torch.float64, grad_fn=<MeanBackward0>)"
    )


def test_the_gradient(play) -> None:
    run = play("000", "backward")
    assert " ".join(run.printed.split()) == (
        "tensor([[1.5000, 2.0000], [2.5000, 3.0000]], dtype=torch.float64)"
    )


@room("torch.utils.tensorboard")
def test_making_and_converting_tensors(play) -> None:
    run = play(
        "000", "modules", "tensor_basics", given=lambda torch: {"np_element": np.arange(3.0)}
    )
    assert run["tensor_reshape"].shape == (1, 3)
    assert str(run["tensor_a_long"].dtype) == "torch.int64"
    assert str(run["tensor_a_float"].dtype) == "torch.float32"
    assert run["tensor_b"].tolist() == [0, 1, 2]
    assert run["np_a"].tolist() == [1, 2, 3]


@room("torch.utils.tensorboard")
def test_a_network(play) -> None:
    run = play("000", "modules", "network")
    assert run["outputs"].shape == (10,)
    assert repr(run["net"]) == (
        "MyOwnNet(\n"
        "  (ln): Linear(in_features=768, out_features=384, bias=True)\n"
        "  (ln_2): Linear(in_features=384, out_features=10, bias=True)\n"
        ")"
    )


def pickled_samples(torch: Any) -> dict[str, Any]:
    """The file the author's data set reads."""
    Path("data").mkdir(exist_ok=True)
    samples = [{"feature": np.full(4, i, np.float32), "label": i % 3} for i in range(10)]
    Path("data/test.pickle").write_bytes(pickle.dumps(samples))
    return {"pickle": pickle}


@room("torch.utils.tensorboard")
def test_a_dataset(play) -> None:
    run = play("000", "modules", "dataset", given=pickled_samples)
    assert run.printed == "10\n"
    assert run["feature"].tolist() == [0, 0, 0, 0]
    assert run["label"] == 0


def training_data(torch: Any) -> dict[str, Any]:
    """Twelve samples, a network for them, and a list that notes what was trained on."""
    from torch.utils.data import TensorDataset

    seen: list[Any] = []
    return {
        "dataset": TensorDataset(torch.randn(12, 6), torch.arange(12) % 3),
        "model": torch.nn.Linear(6, 3),
        "seen": seen,
        "some_train_step": seen.append,
        "PATH": "state.pt",
    }


@room("torch.utils.tensorboard")
def test_a_loader(play) -> None:
    """With two worker processes; the pinned memory it asks for needs a GPU, as PyTorch says."""
    run = play("000", "modules", "loader", given=training_data, warns=True)
    assert run.printed == "3\n"
    assert len(run["seen"]) == 3 or len(run["seen"]) == 2
    assert all(batch.shape == (4, 6) for batch in run["seen"])
    assert all("'pin_memory' argument is set as true" in message for message in run.warnings)


def test_one_step_of_training(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        made = training_data(torch)
        made["data_iter"] = iter(torch.utils.data.DataLoader(made["dataset"], 4, shuffle=True))
        made["before"] = made["model"].weight.detach().clone()
        return made

    run = play("000", "criterion", "step", given=given)
    moved = (run["model"].weight - run["before"]).abs()
    assert 0 < moved.max().item() <= 1.1e-5
    assert repr(run["optimizer"]).splitlines()[0] == "Adam ("


def test_without_gradients(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {"torch": torch, "your_code": lambda: print(torch.is_grad_enabled())}

    run = play("000", "without_gradients", given=given)
    assert run.printed == "False\n"
    assert not run["tensor_nograd"].requires_grad


@room("torch.utils.tensorboard")
def test_saving_and_loading_the_state(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {"PATH": "net.pt"}

    run = play(
        "000", "modules", "network", "device_of_net", "save_state", "load_state", given=given
    )
    assert not run["model"].training
    assert run["model"].ln.weight.tolist() == run["net"].ln.weight.tolist()


MODULE = ("modules", "network", "device_of_net", "save_module")


@room("torch.utils.tensorboard")
def test_saving_and_loading_a_whole_module(play) -> None:
    given = {"PATH": "net.pt"}
    run = play("000", *MODULE, "load_module", given=lambda torch: dict(given))
    assert run["model"] is not run["net"]
    assert type(run["model"]) is run["MyOwnNet"]
    assert not run["model"].training
    assert run["model"].ln.weight.tolist() == run["net"].ln.weight.tolist()


@room("torch.utils.tensorboard")
def test_a_whole_module_is_not_loaded_unasked(play) -> None:
    """What ``torch.load(PATH)`` did in 2020, PyTorch refuses since 2.6: a file could run code."""
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        play("000", *MODULE, "load_module_of_then", given=lambda torch: {"PATH": "net.pt"})


@room("torch.utils.tensorboard")
def test_tensorboard(play, tmp_path: Path) -> None:
    play("000", "tensorboard", given=lambda torch: {"np": np})
    folder = tmp_path / "rushlight" / "logs"
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    names = ["Loss/train", "Loss/test", "Accuracy/train", "Accuracy/test"]
    assert events.Tags()["scalars"] == names
    wanted = np.random.RandomState(0).random_sample((100, 4)).astype(np.float32)
    for column, name in enumerate(names):
        assert [event.step for event in events.Scalars(name)] == list(range(100))
        assert [event.value for event in events.Scalars(name)] == wanted[:, column].tolist()


def test_devices(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {"torch": torch, **{n: torch.ones(2) for n in "xy"}, "model": torch.nn.Linear(2, 1)}

    run = play("000", "device", given=given)
    assert run.printed == "False\n"
    assert str(run["device"]) == "cpu"
