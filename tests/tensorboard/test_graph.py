"""The graph of a model: its operations by module, and a model that stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")

from tensorboard.compat.proto.config_pb2 import RunMetadata
from tensorboard.compat.proto.graph_pb2 import GraphDef

import rushlight as torch
from rushlight.engine.core.config import config
from rushlight.engine.runtime.cache import counters
from rushlight.nn import functional as F
from rushlight.utils.tensorboard import SummaryWriter
from tests.tensorboard.events import accumulated, events


def lenet(framework: Any) -> Any:
    """The network of PyTorch's tutorials, with a batch norm."""

    class Net(framework.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            nn = framework.nn
            self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
            self.pool = nn.MaxPool2d(2)
            self.drop = nn.Dropout()
            self.fc = nn.Linear(4 * 4 * 4, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(framework.nn.functional.relu(self.features(x)))
            x = x.view(-1, 64)
            return framework.nn.functional.log_softmax(self.fc(self.drop(x)), dim=1)

    return Net()


def drawn(folder: Path, model: Any, given: Any) -> dict[str, Any]:
    """The nodes that TensorBoard reads, by name."""
    with SummaryWriter(folder) as writer:
        writer.add_graph(model, given)
    return nodes(folder)


def nodes(folder: Path) -> dict[str, Any]:
    """The nodes of the graph in a folder, by name; every input must be one of them."""
    listed = accumulated(folder).Graph().node
    found = {node.name: node for node in listed}
    assert len(found) == len(listed)
    for node in listed:
        for name in node.input:
            assert name.partition(":")[0] in found
    return found


def sizes(node: Any) -> list[list[int]]:
    """The shapes of a node's results."""
    shapes = node.attr["_output_shapes"].list.shape
    return [[dim.size for dim in shape.dim] for shape in shapes]


def test_operations_by_module(tmp_path: Path) -> None:
    found = drawn(tmp_path, lenet(torch), torch.zeros(2, 1, 8, 8))
    kinds = {name: node.op for name, node in found.items()}
    assert {name: kind for name, kind in kinds.items() if kind.startswith("aten")} == {
        "Net/Sequential[features]/Conv2d[0]/convolution": "aten::convolution",
        "Net/Sequential[features]/BatchNorm2d[1]/batch_norm_fixed": "aten::batch_norm_fixed",
        "Net/relu": "aten::relu",
        "Net/MaxPool2d[pool]/max_pool": "aten::max_pool",
        "Net/view": "aten::view",
        "Net/Linear[fc]/linear": "aten::linear",
        "Net/log_softmax": "aten::log_softmax",
    }
    convolution = found["Net/Sequential[features]/Conv2d[0]/convolution"]
    assert list(convolution.input) == [
        "input/x",
        "Net/Sequential[features]/Conv2d[0]/weight",
        "Net/Sequential[features]/Conv2d[0]/bias",
    ]
    assert sizes(convolution) == [[2, 4, 8, 8]]
    assert b"padding: (1, 1)" in convolution.attr["attr"].s
    assert list(found["output/output.1"].input) == ["Net/log_softmax"]
    assert kinds["Net/Linear[fc]/weight"] == "Parameter"
    assert kinds["Net/Sequential[features]/BatchNorm2d[1]/running_mean"] == "Buffer"
    assert sizes(found["input/x"]) == [[2, 1, 8, 8]]
    assert sizes(found["Net/MaxPool2d[pool]/max_pool"])[0] == [2, 4, 4, 4]


def test_run_metadata(tmp_path: Path) -> None:
    drawn(tmp_path, torch.nn.Linear(2, 1), torch.zeros(1, 2))
    graph, metadata = events(tmp_path)
    assert GraphDef.FromString(graph.graph_def).versions.producer == 22
    tagged = metadata.tagged_run_metadata
    assert tagged.tag == "step1"
    device = RunMetadata.FromString(tagged.run_metadata).step_stats.dev_stats[0]
    assert device.device == "/device:CPU:0"


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(3)
            self.frozen = torch.nn.BatchNorm1d(3).eval()
            self.register_buffer("count", torch.zeros(()))
            self.register_buffer("nothing", None)

        def forward(self, x: Any) -> Any:
            self.count += 1
            self.norm.train()
            return self.frozen(self.norm(x)) + torch.rand(3)

    model, x = Counting(), torch.rand(4, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    buffers = [id(buffer) for buffer in model.buffers()]
    state = torch.get_rng_state()
    drawn(tmp_path, model, x)
    assert (model.training, model.norm.training, model.frozen.training) == (True, True, False)
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in before.items()
    }
    assert [id(buffer) for buffer in model.buffers()] == buffers
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_nothing_is_computed(tmp_path: Path) -> None:
    model, x = lenet(torch), torch.rand(2, 1, 8, 8)
    x.sum().item()
    [p.sum().item() for p in model.parameters()]
    before = counters.nodes_run
    drawn(tmp_path, model, x)
    assert counters.nodes_run == before


def two_runs(model: torch.nn.Module, x: torch.Tensor, folder: Path) -> Iterator[list[Any]]:
    """The operations drawn, and the edges between them."""
    for name, node in drawn(folder, model, x).items():
        yield [name, node.op, list(node.input), sizes(node)]


def test_a_number_looked_at_halfway(tmp_path: Path) -> None:
    class Looking(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            x = x.relu()
            if float(x.sum()) < 0:
                x = -x
            x = x.view(-1)  # a view of what has been computed by now
            return x * x[0]

    found = drawn(tmp_path, Looking(), torch.ones(2, 2))
    assert list(found["Looking/relu"].input) == ["input/x"]
    assert list(found["Looking/mul"].input) == ["Looking/relu", "Looking/relu"]
    assert "prim::Constant" not in [node.op for node in found.values()]


def test_one_operation_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = lenet(torch), torch.rand(2, 1, 8, 8)
    recorded = list(two_runs(model, x, tmp_path / "recorded"))
    monkeypatch.setattr(config, "eager", True)
    assert list(two_runs(model, x, tmp_path / "eager")) == recorded


def test_compiled_models(tmp_path: Path) -> None:
    model, x = lenet(torch).eval(), torch.rand(2, 1, 8, 8)
    plain = list(two_runs(model, x, tmp_path / "plain"))
    whole = torch.compile(model)
    for _ in range(3):
        whole(x)
    assert list(two_runs(whole, x, tmp_path / "whole")) == plain
    model.fc = torch.compile(model.fc)
    wrapped = model.fc
    for _ in range(3):
        model(x)
    assert list(two_runs(model, x, tmp_path / "part")) == plain
    assert model.fc is wrapped
    model.fc = wrapped._orig_mod
    model.compile()
    model(x)
    assert list(two_runs(model, x, tmp_path / "call")) == plain
    assert model._compiled_call_impl is not None


def test_inputs_and_outputs_of_all_kinds(tmp_path: Path) -> None:
    class Many(torch.nn.Module):
        def forward(self, x: Any, pair: Any, scale: float = 1.0, *rest: Any) -> Any:
            return {"sum": x + pair[0] * scale, "rest": [pair[1]["key"], (rest[0], None, "word")]}

    one = torch.ones(2)
    given = (one, (one + 1, {"key": one + 2}), 3.0, one + 4)
    found = drawn(tmp_path, Many(), given)
    assert [name for name in found if name.startswith("input/")] == [
        "input/x", "input/pair.0", "input/pair.1.key", "input/argument.3",
    ]  # fmt: skip
    outputs = {name: node.input[0] for name, node in found.items() if name.startswith("output")}
    assert outputs == {
        "output/output.1": "Many/add",
        "output/output.2": "input/pair.1.key",
        "output/output.3": "input/argument.3",
    }
    assert b"other: 3.0" in found["Many/mul"].attr["attr"].s


def test_shared_modules_and_weights(tmp_path: Path) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(5, 3)
            self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3), torch.nn.ReLU()])
            self.head = torch.nn.Linear(3, 5, bias=False)
            self.head.weight = self.words.weight

        def forward(self, x: Any) -> Any:
            x = self.words(x)
            for layer in [*self.layers, *self.layers]:
                x = layer(x)
            return self.head(x)

    found = drawn(tmp_path, Tied(), torch.tensor([[1, 2]]))
    operations = [name for name, node in found.items() if node.op.startswith("aten")]
    assert operations == [
        "Tied/Embedding[words]/embedding",
        "Tied/ModuleList[layers]/Linear[0]/linear_rows",
        "Tied/ModuleList[layers]/ReLU[1]/relu",
        "Tied/ModuleList[layers]/Linear[0]/linear_rows_1",
        "Tied/ModuleList[layers]/ReLU[1]/relu_1",
        "Tied/Linear[head]/matmul_nt_rows",
    ]
    assert "Tied/Embedding[words]/weight" in found["Tied/Linear[head]/matmul_nt_rows"].input
    assert sum(node.op == "Parameter" for node in found.values()) == 3


def test_weights_shared_with_numpy(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    array = layer.weight.detach().numpy()
    found = drawn(tmp_path, layer, torch.ones(1, 2))
    assert "Linear/weight" in found["Linear/linear"].input
    assert array.shape == (2, 2)


def test_verbose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(torch.nn.ReLU(), torch.ones(2), verbose=True, use_strict_trace=False)
    assert "ReLU/relu: aten::relu(input) [2]" in capsys.readouterr().out


def test_errors_leave_everything_in_order(tmp_path: Path) -> None:
    class Broken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return F.relu(self.layer(x)) @ torch.ones(3)

    model = Broken()
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(RuntimeError, match="size mismatch"):
            writer.add_graph(model, torch.ones(1, 2))
        with pytest.raises(RuntimeError, match="needs input_to_model"):
            writer.add_graph(model)
        writer.add_graph(model.layer, torch.ones(1, 2))
    assert model.training
    assert not model.layer._forward_hooks
    assert "Linear/linear" in nodes(tmp_path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_modules_named_as_pytorch_names_them(tmp_path: Path) -> None:
    oracle = pytest.importorskip("torch", reason="the extra 'oracle' (PyTorch) is not installed")
    writing = pytest.importorskip("torch.utils.tensorboard")
    with writing.SummaryWriter(tmp_path / "pytorch") as writer:
        writer.add_graph(lenet(oracle), oracle.zeros(2, 1, 8, 8))
    listed = accumulated(tmp_path / "pytorch").Graph().node
    expected = {node.name: node for node in listed}  # some of its inputs are missing
    made = drawn(tmp_path / "rushlight", lenet(torch), torch.zeros(2, 1, 8, 8))

    def scopes(found: dict[str, Any]) -> set[str]:
        return {name.rpartition("/")[0] for name, node in found.items() if "aten::" in node.op} - {
            "Net/Dropout[drop]"
        }  # which does nothing here, and a node there

    assert scopes(made) == scopes(expected)
    assert {"input", "output"} <= {name.partition("/")[0] for name in expected}
    assert {"input/x", "output/output.1"} <= set(made)
    assert sizes(made["Net/log_softmax"]) == [[2, 10]]
