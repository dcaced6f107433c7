"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from tests.nn.both import compare


def layers(torch: Any) -> list[Any]:
    return [torch.nn.Identity(), torch.nn.ReLU(), torch.nn.Tanh(), torch.nn.Sigmoid()]


def sequential(torch: Any) -> Any:
    nn = torch.nn
    module = nn.Sequential(*layers(torch))
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    parts = [len(module), module[1], module[-1], module[1:3], named[1:], named.a]
    module[0] = nn.ELU()
    del module[1]
    del module[::2]
    module.append(nn.ReLU()).insert(0, nn.GELU())
    module.extend([nn.Mish()])
    taken = module.pop(-1)
    return (
        parts,
        module,
        taken,
        module + named,
        2 * module,
        [repr(x) for x in named],
        dir(module)[-1],
    )


def sequential_in_place(torch: Any) -> Any:
    module = torch.nn.Sequential(*layers(torch)[:2])
    module += torch.nn.Sequential(torch.nn.Tanh())
    module *= 2
    return module, module(torch.tensor([-1.0, 2.0]))


def module_list(torch: Any) -> Any:
    nn = torch.nn
    module = nn.ModuleList(layers(torch))
    parts = [len(module), module[1], module[-1], module[1:3], nn.ReLU() in module]
    module[-1] = nn.ELU()
    del module[0]
    module.append(nn.ReLU()).extend([nn.ReLU()])
    module.insert(1, nn.Mish())
    module += [nn.GELU()]
    return parts, module, module + [nn.Tanh()], module.pop(1), [type(x).__name__ for x in module]


def module_dict(torch: Any) -> Any:
    nn = torch.nn
    module = nn.ModuleDict([["a", nn.ReLU()], ["b", nn.Tanh()]])
    module.update({"d": nn.ELU(), "c": nn.Mish()})
    module["e"] = nn.GELU()
    taken = module.pop("a")
    found = [list(module.keys()), [repr(x) for x in module.values()], "b" in module, len(module)]
    keys = [key for key, _ in module.items()]
    del module["b"]
    text = repr(module)
    module.clear()
    return found, keys, taken, text, module


def parameter_list(torch: Any) -> Any:
    module = torch.nn.ParameterList([torch.zeros(2), torch.nn.Parameter(torch.ones(1)), "text"])
    module.append(torch.zeros(1, 3))
    module += [torch.ones(2)]
    module[0] = torch.ones(4)
    text = repr(module)
    return (
        text,
        len(module),
        module[1:3],
        module[-1],
        [name for name, _ in module.named_parameters()],
    )


def parameter_dict(torch: Any) -> Any:
    module = torch.nn.ParameterDict({"b": torch.zeros(2), "a": torch.nn.Parameter(torch.ones(1))})
    module.update([("c", torch.zeros(1, 3))])
    module["d"] = "text"
    other = module | torch.nn.ParameterDict({"e": torch.ones(1)})
    found = [list(module.keys()), "a" in module, len(module), list(reversed(module))]
    texts = [repr(module), repr(other), list(module.copy())]
    taken = [module.pop("c"), module.popitem(), module.get("x", 3), module.setdefault("y", 4)]
    made = list(module.fromkeys(["p", "q"], torch.ones(1)).keys())
    module.clear()
    return found, texts, taken, made, module


PROGRAMS = [
    sequential, sequential_in_place, module_list, module_dict, parameter_list, parameter_dict,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program)


ERRORS = [
    "Sequential(nn.ReLU())[1]",
    "Sequential(nn.ReLU())['a']",
    "Sequential(3)",
    "Sequential() + [nn.ReLU()]",
    "Sequential() * 0",
    "Sequential() * 'a'",
    "Sequential().insert(3, nn.ReLU())",
    "Sequential().insert(0, 3)",
    "ModuleList([3])",
    "ModuleList(3)",
    "ModuleList([nn.ReLU()])[-2]",
    "ModuleDict(3)",
    "ModuleDict([3])",
    "ModuleDict([(1, 2, 3)])",
    "ModuleDict({'a.b': nn.ReLU()})",
    "ModuleDict()['a']",
    "ParameterList(3)",
    "ParameterList(torch.ones(2))",
    "ParameterList([])[0]",
    "ParameterList([])(1)",
    "ParameterDict({})(1)",
    "ParameterDict([3])",
    "ParameterDict([(1, 2, 3)])",
]


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    compare(lambda torch: eval("nn." + text, {"nn": torch.nn, "torch": torch}), raises=True)
