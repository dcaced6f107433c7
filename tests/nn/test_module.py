"""``nn.Module``: registration, attributes, traversal, state, in PyTorch's words."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import rushlight
from rushlight import nn
from tests.nn.both import compare

PROGRAMS: dict[str, Callable[[Any], Any]] = {}


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Enter a program that both libraries must agree on."""
    PROGRAMS[function.__name__] = function
    return function


def net(torch: Any) -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(3, 4)
            self.body = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.BatchNorm1d(4))
            self.tied = self.first
            self.scale = torch.nn.Parameter(torch.ones(2))
            self.register_parameter("absent", None)
            self.register_buffer("mean", torch.zeros(3))
            self.register_buffer("hidden", torch.zeros(1), persistent=False)
            self.note = "a plain attribute"

        def forward(self, x: Any) -> Any:
            return self.body(self.first(x))

    return Net()


@program
def traversal(torch: Any) -> Any:
    module = net(torch)
    names = [
        [name for name, _ in module.named_parameters()],
        [name for name, _ in module.named_parameters(remove_duplicate=False)],
        [name for name, _ in module.named_parameters("top", recurse=False)],
        [name for name, _ in module.named_buffers()],
        [name for name, _ in module.named_children()],
        [name for name, _ in module.named_modules()],
        [name for name, _ in module.named_modules(prefix="p", remove_duplicate=False)],
        [type(x).__name__ for x in module.modules()],
        [type(x).__name__ for x in module.children()],
        len(list(module.parameters())),
        len(list(module.buffers(recurse=False))),
    ]
    return names, module


@program
def state(torch: Any) -> Any:
    module = net(torch)
    saved = module.state_dict(prefix="p.")
    return saved, dict(saved._metadata), [saved["p.scale"].requires_grad], type(saved).__name__


@program
def state_keeps_variables(torch: Any) -> Any:
    module = net(torch)
    return module.state_dict(keep_vars=True)["scale"] is module.scale


@program
def loading(torch: Any) -> Any:
    one, two = net(torch), net(torch)
    result = two.load_state_dict(one.state_dict())
    return repr(result), two.state_dict(), [list(result.missing_keys)]


@program
def loading_with_mismatches(torch: Any) -> Any:
    module = net(torch)
    saved = module.state_dict()
    saved["first.weight"] = torch.zeros(2, 2)
    saved["more"] = torch.zeros(1)
    saved["body.7.bias"] = torch.zeros(1)
    saved["scale"] = 3
    del saved["body.1.bias"], saved["first.bias"]
    return module.load_state_dict(saved)


@program
def loading_not_strictly(torch: Any) -> Any:
    module = net(torch)
    return repr(module.load_state_dict({"scale": torch.zeros(2), "x": torch.ones(1)}, strict=False))


@program
def loading_by_assignment(torch: Any) -> Any:
    module = net(torch)
    saved = {key: value + 1 for key, value in module.state_dict().items()}
    module.load_state_dict(saved, assign=True)
    kinds = [type(module.scale).__name__, module.scale.requires_grad, module.mean is saved["mean"]]
    return kinds, module.state_dict()


@program
def loading_a_list(torch: Any) -> Any:
    return net(torch).load_state_dict([1])


@program
def conversion(torch: Any) -> Any:
    module = net(torch)
    (module(torch.ones(2, 3)) ** 2).sum().backward()
    weight, gradient = module.first.weight, module.first.weight.grad
    module.double()
    same = [module.first.weight is weight, module.first.weight.grad is gradient]
    kinds = [str(weight.dtype), str(gradient.dtype), str(module.body[1].num_batches_tracked.dtype)]
    module.to(torch.float32).to("cpu")
    return same, kinds, str(module.mean.dtype), module.half().state_dict()["mean"]


@program
def conversion_to_integers(torch: Any) -> Any:
    return net(torch).to(torch.int64)


@program
def modes_and_gradients(torch: Any) -> Any:
    module = net(torch)
    module.eval()
    modes = [x.training for x in module.modules()]
    module.train()
    (module(torch.ones(2, 3)) ** 2).sum().backward()
    module.zero_grad(set_to_none=False)
    zeros = module.first.weight.grad
    module.zero_grad()
    module.requires_grad_(False)
    wanted = [p.requires_grad for p in module.parameters()]
    return modes, zeros, module.first.weight.grad, wanted


@program
def train_takes_a_bool(torch: Any) -> Any:
    return net(torch).train(1)


@program
def application(torch: Any) -> Any:
    order: list[str] = []
    net(torch).apply(lambda module: order.append(type(module).__name__))
    return order


@program
def dotted_names(torch: Any) -> Any:
    module = net(torch)
    module.set_submodule("body.0", torch.nn.Tanh())
    return (
        module.get_submodule("body.1"),
        module.get_parameter("body.1.weight"),
        module.get_buffer("body.1.running_mean"),
        module.body[0],
        [x for x in dir(module) if x in ("first", "scale", "mean", "note", "absent")],
    )


@program
def attributes_move_between_tables(torch: Any) -> Any:
    module = net(torch)
    module.scale = None
    module.first = None
    module.mean = torch.ones(3)
    module.note = torch.nn.Parameter(torch.zeros(1))
    module.hidden = torch.nn.Linear(1, 1)
    module.count = torch.nn.Buffer(torch.ones(2), persistent=False)
    del module.body
    return module, module.state_dict(), [name for name, _ in module.named_buffers()]


ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "missing attribute": lambda torch, m: m.nothing,
    "tensor as parameter": lambda torch, m: setattr(m, "scale", torch.zeros(2)),
    "number as parameter": lambda torch, m: setattr(m, "scale", 1.0),
    "number as module": lambda torch, m: setattr(m, "first", 1),
    "number as buffer": lambda torch, m: setattr(m, "mean", 1),
    "parameter name": lambda torch, m: m.register_parameter("a.b", None),
    "empty parameter name": lambda torch, m: m.register_parameter("", None),
    "parameter name type": lambda torch, m: m.register_parameter(3, None),
    "parameter exists": lambda torch, m: m.register_parameter("note", None),
    "no parameter": lambda torch, m: m.register_parameter("new", torch.zeros(1)),
    "computed parameter": lambda torch, m: m.register_parameter(
        "new", torch.nn.Parameter(torch.zeros(1)) * 1
    ),
    "buffer name": lambda torch, m: m.register_buffer("a.b", None),
    "buffer exists": lambda torch, m: m.register_buffer("note", None),
    "no buffer": lambda torch, m: m.register_buffer("new", 3),
    "module name": lambda torch, m: m.add_module("a.b", None),
    "module exists": lambda torch, m: m.add_module("note", None),
    "no module": lambda torch, m: m.add_module("new", 3),
    "no submodule": lambda torch, m: m.get_submodule("body.9"),
    "attribute, not submodule": lambda torch, m: m.get_submodule("note"),
    "no such parameter": lambda torch, m: m.get_parameter("body.1.nothing"),
    "buffer, not parameter": lambda torch, m: m.get_parameter("mean"),
    "parameter, not buffer": lambda torch, m: m.get_buffer("scale"),
    "no forward": lambda torch, m: torch.nn.Module()(1),
    "arguments": lambda torch, m: torch.nn.Module(3),
    "keyword arguments": lambda torch, m: torch.nn.Module(size=3),
    "deleting nothing": lambda torch, m: delattr(m, "nothing"),
    "integer parameter": lambda torch, m: torch.nn.Parameter(torch.zeros(1, dtype=torch.int64)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    compare(lambda torch: ERRORS[name](torch, net(torch)), raises=True)


@pytest.mark.parametrize("kind", ["Linear", "Parameter", "Buffer"])
def test_before_init(kind: str) -> None:
    def early(torch: Any) -> Any:
        class Early(torch.nn.Module):
            def __init__(self) -> None:
                args = (1, 1) if kind == "Linear" else (torch.zeros(1),)
                self.x = getattr(torch.nn, kind)(*args)

        return Early()

    compare(early, raises=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_pytorch(name: str) -> None:
    compare(PROGRAMS[name], raises=None)


def test_copies_are_independent() -> None:
    module = net(rushlight)
    made = copy.deepcopy(module)
    assert made.tied is made.first
    assert made.first.weight is not module.first.weight
    with rushlight.no_grad():
        made.scale.zero_()
    assert module.scale.tolist() == [1.0, 1.0]
    assert type(made.scale) is nn.Parameter


def test_pickling() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout())
    made = pickle.loads(pickle.dumps(module))
    assert repr(made) == repr(module)
    assert [type(p) for p in made.parameters()] == [nn.Parameter] * 4
    x = rushlight.ones(2, 2)
    assert (made.eval()(x) == module.eval()(x)).all()


def test_extra_state() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    one, two = Counting(), Counting()
    one.count = 5
    saved = one.state_dict()
    assert saved == {"_extra_state": {"count": 5}}
    two.load_state_dict(saved)
    assert two.count == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_extra_state"'):
        two.load_state_dict({})


def test_parameter_shares_memory() -> None:
    data = rushlight.zeros(2)
    parameter = nn.Parameter(data)
    data += 1
    assert parameter.tolist() == [1.0, 1.0]
    assert parameter.is_leaf
    assert not data.requires_grad
