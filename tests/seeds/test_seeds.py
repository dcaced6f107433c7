"""Every program of the seed notes runs and gives what its author printed."""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import re
import runpy
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight

PROGRAMS = Path(__file__).parent / "programs"
NAMES = sorted(path.stem for path in PROGRAMS.glob("s*.txt"))

_MODULES = (
    "", ".nn", ".nn.functional", ".optim", ".utils", ".utils.data", ".autograd",
)  # fmt: skip


@contextlib.contextmanager
def under_the_name_torch() -> Iterator[None]:
    """Let ``import torch`` find rushlight, and put everything back afterwards."""
    before = {k: v for k, v in sys.modules.items() if k == "torch" or k.startswith("torch.")}
    for name in before:
        del sys.modules[name]
    for name in _MODULES:
        sys.modules["torch" + name] = importlib.import_module("rushlight" + name)
    try:
        yield
    finally:
        for name in [k for k in sys.modules if k == "torch" or k.startswith("torch.")]:
            del sys.modules[name]
        sys.modules.update(before)


def run(name: str, framework: Any) -> tuple[dict[str, Any], str]:
    """The variables a program leaves and what it printed, with seed 0."""
    framework.manual_seed(0)
    np.random.seed(0)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # register_backward_hook is deprecated, pinning needs a GPU
        left = runpy.run_path(str(PROGRAMS / f"{name}.txt"), run_name="__main__")
    return left, printed.getvalue()


@pytest.fixture
def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a program in an empty folder with rushlight under the name torch."""
    monkeypatch.chdir(tmp_path)
    _write_pickle(tmp_path)

    def call(name: str) -> tuple[dict[str, Any], str]:
        with under_the_name_torch():
            return run(name, rushlight)

    return call


def _write_pickle(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    data = {"feature": [[float(i), 1.0] for i in range(10)], "label": list(range(10))}
    (folder / "data" / "test.pickle").write_bytes(pickle.dumps(data))


_NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")


def _same_text(ours: str, theirs: str) -> None:
    """Equal but for the last digits of floating-point numbers and for addresses of objects."""
    ours, theirs = (re.sub(r"0x[0-9a-f]+", "0x", text) for text in (ours, theirs))
    assert _NUMBER.sub("#", ours).split() == _NUMBER.sub("#", theirs).split()
    first = [float(x) for x in _NUMBER.findall(ours)]
    second = [float(x) for x in _NUMBER.findall(theirs)]
    # 500 steps of training let the last bit of a sum grow to some 1e-4 of a loss
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-6)


#: Programs that old PyTorch ran and PyTorch 2.13 does not (``iterator.next()``).
_OLD = ("s000_own_dataset", "s001_classifier")


@pytest.mark.parametrize("name", NAMES)
def test_prints_what_pytorch_prints(name: str, seed: Any) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    _, ours = seed(name)
    if name in _OLD:
        assert ours
        return
    _, theirs = run(name, oracle)
    _same_text(ours, theirs)


def test_no_graph(seed: Any) -> None:
    _, text = seed("s000_no_graph")
    assert text.split() == (
        "tensor([[1., 1., 1.], [1., 1., 1.], [1., 1., 1.]]) None".split()
    )


def test_variable(seed: Any) -> None:
    _, text = seed("s000_variable")
    assert re.fullmatch(r"<AddBackward0 object at 0x[0-9a-f]+>\n", text)


def test_mean(seed: Any) -> None:
    _, text = seed("s000_mean")
    assert text.split() == (
        "tensor([[ 9., 16.], [25., 36.]], dtype=torch.float64, grad_fn=<MulBackward0>) "
        "tensor(21.5000, dtype=torch.float64, grad_fn=<MeanBackward0>)"
    ).split()


def test_backward(seed: Any) -> None:
    _, text = seed("s000_backward")
    assert text.split() == "tensor([[1.5000, 2.0000], [2.5000, 3.0000]], dtype=torch.float64)".split()


def test_conversions(seed: Any) -> None:
    left, _ = seed("s000_convert")
    assert tuple(left["tensor_reshape"].shape) == (1, 3)
    assert left["tensor_a_long"].dtype is rushlight.int64
    assert left["tensor_a_float"].dtype is rushlight.float32
    left["np_element"][0] = 7
    assert left["tensor_b"][0] == 7
    assert isinstance(left["np_a"], np.ndarray)


def test_own_network_and_dataset(seed: Any) -> None:
    left, _ = seed("s000_own_net")
    assert tuple(left["outputs"].shape) == (10,)
    left, text = seed("s000_own_dataset")
    assert text.split() == ["10", "3"]
    assert len(left["seen"]) == 2


def test_one_training_step(seed: Any) -> None:
    left, _ = seed("s000_train")
    assert not rushlight.equal(left["before"], left["model"].weight)
    assert not left["no_graph"].requires_grad
    assert not left["tensor_nograd"].requires_grad


def test_saving(seed: Any) -> None:
    left, _ = seed("s000_save")
    assert rushlight.equal(left["saved"].ln.weight, left["model"].ln.weight)
    assert not left["model"].training
    assert str(left["device"]) == "cpu"


def test_tensors_of_note_1(seed: Any) -> None:
    left, text = seed("s001_tensors")
    assert text.endswith("torch.Size([4, 4]) torch.Size([16]) torch.Size([2, 8])\n")
    assert left["ones"].dtype is rushlight.float64


NET = """Net(
  (conv1): Conv2d(1, 6, kernel_size=(3, 3), stride=(1, 1))
  (conv2): Conv2d(6, 16, kernel_size=(3, 3), stride=(1, 1))
  (fc1): Linear(in_features=576, out_features=120, bias=True)
  (fc2): Linear(in_features=120, out_features=84, bias=True)
  (fc3): Linear(in_features=84, out_features=10, bias=True)
)
10
torch.Size([6, 1, 3, 3])
"""


def test_network_of_note_1(seed: Any) -> None:
    _, text = seed("s001_net")
    assert text.startswith(NET)
    assert re.search(r"tensor\(\d\.\d{4}, grad_fn=<MseLossBackward0>\)", text)
    assert "conv1.bias.grad before backward\nNone\n" in text
    assert re.search(r"conv1.bias.grad after backward\ntensor\(\[", text)


def test_classifier_of_note_1(seed: Any) -> None:
    left, text = seed("s001_classifier")
    losses = [float(x) for x in re.findall(r"loss: (\d+\.\d{3})", text)]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2
    assert "Finished Training" in text
    assert re.search(r"^Predicted: +plane +car +bird +cat$", text, re.M)
    assert "Accuracy of the network on the 10000 test images: 100 %" in text
    assert "Accuracy of plane : 100 %" in text
    for name, p in left["net"].state_dict().items():
        assert rushlight.equal(p, left["the_model"].state_dict()[name])


def test_two_layer_networks(seed: Any) -> None:
    for name in ("s001_two_layers", "s001_custom_module"):
        _, text = seed(name)
        steps = [line.split() for line in text.splitlines()]
        assert [int(step) for step, _ in steps] == [99, 199, 299, 399, 499]
        assert float(steps[-1][1]) < float(steps[0][1]) / 100


def test_note_2(seed: Any) -> None:
    left, _ = seed("s002_model")
    for old, g, p in zip(left["before"], left["gradients"], left["model"].parameters(), strict=True):
        assert rushlight.equal(p, old - g * 0.1)
        assert p.grad is None
    left, _ = seed("s002_data")
    assert tuple(left["xb"].shape) == (4, 784)
    assert left["yb"].tolist() == [8, 9, 0, 1]
    assert len(left["train_dl"]) == 5
    assert [tuple(x.shape) for x, _ in left["valid_dl"]] == [(8, 1, 28, 28), (2, 1, 28, 28)]


def test_note_3(seed: Any) -> None:
    left, text = seed("s003_tensors")
    assert text.splitlines()[:7] == [
        "torch.Size([2, 3])", "torch.Size([3, 2])", "torch.Size([1, 2, 3])", "torch.Size([2, 3])",
        "torch.Size([2, 3])", "torch.Size([2, 1, 3])", "torch.Size([2, 6, 3])",
    ]  # fmt: skip
    assert left["x"].grad.tolist() == [[2.0, 0.0], [-2.0, 2.0]]
    assert text.endswith("torch.Size([64, 32])\ntorch.Size([64])\n")
    assert repr(left["zeros"]).split() == "tensor([[0., 0.], [0., 0.]])".split()
    left, _ = seed("s003_loops")
    assert left["avg_loss"] < left["losses"][0]
    assert [tuple(p.shape) for p in left["preds"]] == [(16, 1)] * 4


def test_network_and_hook_of_note_4(seed: Any) -> None:
    left, text = seed("s004_net")
    assert "tensor([[ 1., -1.],\n        [ 1., -1.]])" in text
    assert "tensor([[1, 2, 3],\n        [4, 5, 6]])" in text
    assert tuple(left["output"].shape) == (2, 10)
    assert left["seen"][0].tolist() == [1.0] * 4


def test_module_hooks_of_note_4(seed: Any) -> None:
    left, _ = seed("s004_forward_hook")
    assert left["total_feature_out"][0].tolist() == [[7.0, -13.0, 27.0, -29.0]]
    assert left["total_feature_out"][1].tolist() == [[7.0, 0.0, 27.0, 0.0]]
    assert left["o"].tolist() == [[89.0]]
    left, _ = seed("s004_backward_hook")
    fc2, relu1, fc1 = left["total_grad_in"]
    assert [tuple(g.shape) for g in fc2] == [(1,), (1, 4), (4, 1)]
    assert relu1[0].tolist() == [[1.0, 0.0, 3.0, 0.0]]
    assert fc1[1].tolist() == [[22.0, 26.0, 30.0]]
    assert left["x"].grad.tolist() == [[22.0, 26.0, 30.0]]
