"""Classes and functions by PyTorch's names in whole objects that are saved, and by rushlight's."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from rushlight._names import own_name, package_of, torch_name
from rushlight.nn.modules.conv import _ConvNd
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.rnn import RNNBase
from rushlight.nn.modules.transformer import TransformerEncoderLayer

#: What has another place in PyTorch than its module's name says.
_PLACES: dict[tuple[str, str], tuple[str, str]] = {
    ("rushlight.nn.modules.hooks", "RemovableHandle"): ("torch.utils.hooks", "RemovableHandle"),
    ("rushlight.nn.modules.hooks", "BoundHook"): ("torch.nn.modules.module", "_WrappedHook"),
    ("rushlight._tensor", "Tensor"): ("torch", "Tensor"),
}

#: Packages that show classes which PyTorch's of the same name do not show.
_COLLECTING = ("rushlight.nn.modules",)

#: Where functions of the engine are shown.
_SHOWN_IN = ("rushlight.nn.functional", "rushlight.nn.init", "rushlight.special")


def torch_place(found: Any) -> tuple[str, str] | None:
    """The module and name under which PyTorch has a class or function of rushlight's.

    Args:
        found: a class or a function.

    Returns:
        Both names; ``None`` for what is no part of rushlight.

    >>> import rushlight as torch
    >>> from rushlight._serialization_names import torch_place
    >>> torch_place(torch.nn.Linear), torch_place(torch.nn.functional.relu)[1]
    (('torch.nn', 'Linear'), 'relu')
    """
    own, name = _own_module(found), found.__qualname__
    if own is None:
        return None
    if (own, name) in _PLACES:
        return _PLACES[own, name]
    parts = own.split(".")
    prefixes = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for place in (*prefixes, *_SHOWN_IN):
        shown = None if place in _COLLECTING else torch_name(place)
        if shown is not None and _member(sys.modules.get(place), name) is found:
            return shown, name
    return None


def _own_module(found: Any) -> str | None:
    """The module of rushlight's that a class or function is from."""
    module = getattr(found, "__module__", None)
    if not isinstance(module, str):
        return None
    if module.partition(".")[0] == "rushlight":
        return module
    return None if package_of(module) is None else own_name(module)


def _member(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def own_object(module: str, name: str) -> Any:
    """What a name of PyTorch's stands for here.

    Args:
        module: the module that a file names.
        name: the class or function in it.

    Raises:
        AttributeError: rushlight has nothing of that name.

    >>> from rushlight._serialization_names import own_object
    >>> own_object("torch.nn.modules.linear", "Linear")
    <class 'rushlight.nn.modules.linear.Linear'>
    """
    for (own, own_title), place in _PLACES.items():
        if place == (module, name):
            return _member(import_module(own), own_title)
    parts = module.split(".")
    searched = [own_name(".".join(parts[:count])) for count in range(len(parts), 0, -1)]
    if module.startswith("torch._C"):  # functions that PyTorch's own modules only show
        searched += _SHOWN_IN
    for own_module in searched:
        found = None if own_module is None else _member(_imported(own_module), name)
        if found is not None:
            return found
    raise AttributeError(
        f"the file needs {module}.{name}, and rushlight has nothing of that name; save a "
        "state_dict instead of the whole object"
    )


def _imported(name: str) -> Any:
    """A module of rushlight's; ``None`` where there is none of that name."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("rushlight"):
            raise
        return None


def torch_state(module: Module, state: Any) -> Any:
    """The state of a module with what PyTorch keeps in it besides.

    Args:
        module: what is saved.
        state: its state here.
    """
    if not isinstance(state, dict):
        return state
    if isinstance(module, _ConvNd):
        return {**state, "transposed": module.transposed}
    if isinstance(module, RNNBase):
        names = [name for names in state["_all_weights"] for name in names]
        weights = [state["_parameters"].get(name) for name in names]
        return {**state, "_flat_weights_names": names, "_flat_weights": weights}
    if isinstance(module, TransformerEncoderLayer):
        kind = {"relu": 1, "gelu": 2}.get(getattr(module.activation, "__name__", ""), 0)
        return {**state, "activation_relu_or_gelu": kind}
    return state
