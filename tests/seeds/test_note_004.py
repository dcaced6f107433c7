"""Note 004: nn.Module, the tensor types, loaders, hooks."""

from __future__ import annotations

import argparse
import inspect
import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.seeds.conftest import PROGRAMS, ROOT, UNDER_RUN, answering_torch, room
from tests.seeds.data_sets import write_cifar


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


def test_the_arguments_of_a_program(play) -> None:
    run = play("004", "arguments", given=lambda torch: {"parser": argparse.ArgumentParser()})
    found = run["parser"].parse_args(["--file-dir", "x", "--model", "vit_b_16", "--train"])
    assert vars(found) == {
        "file_dir": "x",
        "dataset": "cifar10",
        "dataset_path": "/state/partition/imagenet-raw-data",
        "model": "vit_b_16",
        "train": True,
    }
    assert run["parser"].parse_args(["--file-dir", "x"]).train is False


@room("torchvision.datasets.cifar")
def test_cifar100(play, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(torch: Any) -> dict[str, Any]:
        import torchvision

        data_set = torchvision.datasets.CIFAR100
        names = [f"class {n}" for n in range(100)]
        for name, value in write_cifar(Path("data"), data_set, 200, names).items():
            monkeypatch.setattr(data_set, name, value)
        transform = torchvision.transforms.ToTensor()
        return {"torchvision": torchvision, "transform_test": transform}

    run = play("004", "cifar100", given=given, beside=("torchvision",))
    picture, label = run["cifar100_test"][105]
    assert tuple(picture.shape) == (3, 32, 32)
    assert label == 5
    assert len(run["cifar100_test"]) == 200
    assert run["cifar100_test"].classes[5] == "class 5"


@room("torch.distributed")
def test_the_head_of_convert_sync_batchnorm(play) -> None:
    run = play("004", "convert_sync_batchnorm")
    with answering_torch():
        from torch import nn

        ours = inspect.signature(nn.SyncBatchNorm.convert_sync_batchnorm)
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        assert type(converted[1]) is nn.SyncBatchNorm
    shown = inspect.signature(run["SyncBatchNorm"].convert_sync_batchnorm)
    assert list(ours.parameters) == list(shown.parameters)
    assert ours.parameters["process_group"].default is None


#: A ``main.py`` with the arguments of the author's ``launch.json``.
MAIN = """
import argparse, os
import torch
import torch.distributed as dist

parser = argparse.ArgumentParser()
ARGUMENTS
for name in ("--epoch", "--mode", "--wbit", "--abit", "--local_rank", "--local-rank"):
    parser.add_argument(name)
args = parser.parse_args(["--file-dir", "."] + __import__("sys").argv[1:])
INIT
x = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(x)
print(dist.get_rank(), dist.get_world_size(), x.item(), args.dataset, args.model, args.wbit)
dist.destroy_process_group()
"""


def launch_words() -> list[str]:
    """The arguments in the author's ``launch.json``."""
    text = (PROGRAMS / "note_004" / "launch.json").read_text("utf-8")
    text = re.sub(r"^ *//.*$|,(?=\s*[}\]])", "", text, flags=re.M)  # comments, last commas
    (configuration,) = json.loads(text)["configurations"]
    assert configuration["program"].endswith("torch/distributed/launch.py")
    return configuration["args"]


@room("torch.distributed.launch")
@pytest.mark.skipif(UNDER_RUN, reason="it starts rushlight run itself")
@pytest.mark.parametrize("count", [1, 2])
def test_launching(tmp_path: Path, count: int) -> None:
    """The author's ``launch.json``; the process group is begun as the note shows it."""
    pytest.importorskip("mpi4py", reason="the distributed extra is not installed")
    texts = [(PROGRAMS / "note_004" / f"{n}.py").read_text("utf-8")
             for n in ("arguments", "init_process_group")]  # fmt: skip
    program = MAIN.replace("ARGUMENTS", texts[0]).replace("INIT", texts[1])
    (tmp_path / "main.py").write_text(program, "utf-8")
    words = [word.replace("/nvme/wmhu/work/ANT/ImageNet/", "") for word in launch_words()]
    words = [word.replace("--nproc_per_node=1", f"--nproc_per_node={count}") for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", "-m", "torch.distributed.launch", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    total = float(count * (count + 1) // 2)
    wanted = [f"{rank} {count} {total} imagenet vit_b_16 4" for rank in range(count)]
    assert sorted(done.stdout.splitlines()) == wanted
