"""Note 004: nn.Module, the tensor types, loaders, hooks."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


def notebook(torch: Any) -> dict[str, Any]:
    """What the notebook has imported before."""
    return {
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "np": np,
        "device": torch.device("cpu"),
    }


def test_nine_types(play) -> None:
    """The note counts them: three floating, five integer, one Boolean."""
    import rushlight as torch

    types = (
        torch.float16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16,
        torch.int32, torch.int64, torch.bool,
    )  # fmt: skip
    for dtype in types:
        x = torch.tensor([0, 1, 1], dtype=dtype)
        assert x.dtype is dtype
        assert (x[1:] == x[1]).all()
    assert torch.tensor([1.0]).dtype is torch.float32
    assert torch.tensor([1]).dtype is torch.int64


def test_a_network_without_biases(play) -> None:
    run = play("004", "network", given=notebook)
    assert [name for name, _ in run["net"].named_parameters()] == [
        f"{layer}.weight" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3")
    ]
    assert "bias=False" in repr(run["net"])


def test_an_empty_class(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        from typing import Optional

        return {**notebook(torch), "Optional": Optional}

    run = play("004", "vit", given=given)
    assert repr(run["ViT"]("B_16", pretrained=True)) == "ViT()"


def test_calling_a_model(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {
            "model": torch.nn.Linear(3, 2),
            "quantize_model": lambda model: model,
            "inputs": torch.ones(4, 3),
            "targets": torch.tensor([0, 1, 0, 1]),
            "criterion": torch.nn.CrossEntropyLoss(),
        }

    assert play("004", "model_call", given=given)["loss"].shape == ()


def test_printing_tensors(play) -> None:
    run = play("004", "tensor", given=notebook)
    # the note shows four decimals, as PyTorch printed whole numbers long ago
    assert run.printed == (
        "tensor([[ 1., -1.],\n        [ 1., -1.]])\ntensor([[1, 2, 3],\n        [4, 5, 6]])\n"
    )


def test_the_arguments_of_a_loader(play) -> None:
    run = play("004", "loader_signature", given=lambda torch: {"torch": torch, "dataset": [1, 2]})
    assert [batch.tolist() for batch in run["loader"]] == [[1], [2]]


def test_the_arguments_of_save(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        return {
            "torch": torch,
            "obj": {"weight": torch.arange(3.0)},
            "f": io.BytesIO(),
            "pickle_module": pickle,
        }

    run = play("004", "save_signature", given=given)
    run["f"].seek(0)
    assert run["torch"].load(run["f"])["weight"].tolist() == [0, 1, 2]


def test_names_of_functions(play) -> None:
    run = play("004", "mathematics", given=notebook, warns=True)
    assert len(run.warnings) == 1  # torch.range is deprecated in PyTorch too
    assert "torch.range is deprecated" in run.warnings[0]
    assert run["r"].tolist() == [1, 2, 3, 4]
    assert [part.shape[0] for part in run["c"]] == [1, 1]


def test_a_hook_on_a_value_in_between(play) -> None:
    run = play("004", "intermediate", "register_hook", given=notebook)
    assert not run["z"].is_leaf
    run["z"].sum().backward()
    assert run["x"].grad.tolist() == [1, 1, 1, 1]


def test_the_hook_prints_the_gradient(play, capsys) -> None:
    run = play("004", "intermediate", "register_hook", given=notebook)
    (run["z"] * run["z"]).sum().backward()
    assert capsys.readouterr().out == "tensor([ 8., 12., 16., 20.])\n"


def test_a_forward_hook_is_called(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        model, seen = torch.nn.Linear(3, 2), []
        model.register_forward_hook(lambda module, input, output: seen.append((input, output)))
        return {"model": model, "seen": seen, "input": torch.ones(4, 3)}

    run = play("004", "forward_call", given=given)
    ((arguments, output),) = run["seen"]
    assert arguments[0] is run["input"]
    assert output is run["output"]


def test_forward_hooks(play) -> None:
    run = play("004", "hook_model", "forward_hook", given=notebook)
    assert [tuple(x.shape) for x in run["total_feature_out"]] == [(1, 4), (1, 4), (1, 1)]
    assert run["total_feature_out"][0].tolist() == [[7, -13, 27, -29]]
    assert run["total_feature_out"][1].tolist() == [[7, 0, 27, 0]]
    assert run["o"].tolist() == [[89]]
    assert "Linear(in_features=3, out_features=4, bias=True)\ninput (tensor(" in run.printed
    assert "==========Saved inputs and outputs==========\n" in run.printed


def test_backward_hooks(play) -> None:
    run = play("004", "backward_hook", given=notebook, warns=True)
    second, activation, first = run["total_grad_in"]
    # bias, input, weight turned round, as the note explains
    assert [tuple(g.shape) for g in second] == [(1,), (1, 4), (4, 1)]
    assert activation[0].tolist() == [[1, 0, 3, 0]]
    assert [tuple(g.shape) for g in first] == [(4,), (1, 3), (3, 4)]
    assert first[1].tolist() == run["x"].grad.tolist() == [[22, 26, 30]]
    assert [tuple(g.shape) for (g,) in run["total_grad_out"]] == [(1, 1), (1, 4), (1, 4)]


def test_names_of_the_parts(play) -> None:
    def given(torch: Any) -> dict[str, Any]:
        nn = torch.nn
        model = nn.Sequential()
        model.stage_1 = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        model.head = nn.Linear(2, 2)
        model.stage_1[0].bias.requires_grad = False
        return {"model": model}

    run = play("004", "named", given=given)
    lines = run.printed.splitlines()
    assert lines[:2] == ["stage_1.0.weight True", "stage_1.0.bias False"]
    assert "stage_1.0 Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))" in lines
