"""Mistakes that PyTorch does not tell of: reported once, with your line and what to do.

New programs are looked at once, when they have run for the first time; optimizers are looked at in
their first steps. After that nothing is done. ``off`` and ``on`` switch checks by name:

- ``softmax_before_cross_entropy``: ``CrossEntropyLoss`` gets probabilities instead of logits.
- ``sigmoid_before_bce_with_logits``: the same for ``BCEWithLogitsLoss``.
- ``missing_zero_grad``: gradients of the step before are still in the sum.

``inspect(model, optimizer)`` looks for what only its user can judge.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from rushlight.engine.core.errors import Location, user_location
from rushlight.engine.ir.op import VIEW
from rushlight.engine.ir.program import Node
from rushlight.engine.runtime import misses
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.misses import Miss
from rushlight.nn.modules.module import Module
from rushlight.optim.hooks import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

NAMES = ("missing_zero_grad", "sigmoid_before_bce_with_logits", "softmax_before_cross_entropy")

#: Steps of an optimizer that are looked at.
FIRST_STEPS = 4


class LearnerWarning(UserWarning):
    """A program that runs, but hardly does what it was written for."""


class _State:
    """Which checks are on, and what has been reported."""

    def __init__(self) -> None:
        self.on = set(NAMES)
        self.reported: set[tuple[str, str]] = set()
        self.steps: WeakKeyDictionary[Any, _Steps] = WeakKeyDictionary()


_state = _State()


class _Steps:
    """The first steps of an optimizer: the gradients it saw in the last one."""

    __slots__ = ("count", "gradients")

    def __init__(self) -> None:
        self.count = 0
        self.gradients: dict[int, tuple[int, int]] = {}


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in NAMES:
            raise ValueError(f"no check called {name!r}; there are {', '.join(NAMES)}")
    return names or NAMES


def off(*names: str) -> None:
    """Switch checks off, all of them if none is named.

    >>> import rushlight as torch
    >>> torch.debug.checks.off("missing_zero_grad")
    >>> torch.debug.checks.on()
    """
    _state.on.difference_update(_names(names))


def on(*names: str) -> None:
    """Switch checks on again, all of them if none is named; what was reported may be so again.

    Raises:
        ValueError: there is no check of this name.
    """
    chosen = _names(names)
    _state.on.update(chosen)
    _state.reported = {entry for entry in _state.reported if entry[0] not in chosen}


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Switch checks off inside a ``with`` block, all of them if none is named."""
    before = set(_state.on)
    off(*names)
    try:
        yield
    finally:
        _state.on = before


def _report(name: str, location: Location | None, text: str, remedy: str) -> None:
    key = name, str(location)
    if name not in _state.on or key in _state.reported:
        return
    _state.reported.add(key)
    message = f"{text}\n  {remedy}\n  (torch.debug.checks.off({name!r}) silences this.)"
    if location is None:
        warnings.warn(message, LearnerWarning, stacklevel=2)
    else:
        warnings.warn_explicit(message, LearnerWarning, location.filename, location.line)


# new programs ------------------------------------------------------------------------------------


def _source(made: dict[int, Node], number: int) -> Node | None:
    """The node that computes a value, views left out."""
    node = made.get(number)
    while node is not None and node.spec.op.kind == VIEW:
        node = made.get(node.inputs[0])
    return node


def _look(miss: Miss) -> None:
    """Look at a new program for losses that get probabilities."""
    if not _state.on:
        return
    nodes = miss.program.nodes
    made = {number: node for node in nodes for number in node.outputs}
    for node in nodes:
        name = node.spec.op.name
        if name in ("nll_loss_", "nll_loss2d_"):
            _look_for_softmax(made, node)
        elif name == "binary_cross_entropy_with_logits_":
            source = _source(made, node.inputs[0])
            if source is not None and source.spec.op.name == "sigmoid":
                _report(
                    "sigmoid_before_bce_with_logits", source.location,
                    "BCEWithLogitsLoss got the result of sigmoid(), which it applies itself.",
                    "Pass it the output of the last layer, without sigmoid().",
                )  # fmt: skip


def _look_for_softmax(made: dict[int, Node], loss: Node) -> None:
    log_softmax = _source(made, loss.inputs[0])
    if log_softmax is None or log_softmax.spec.op.name != "log_softmax_":
        return
    if log_softmax.location is None or loss.location is None:
        return
    if str(log_softmax.location) != str(loss.location):
        return  # somebody's own log_softmax and nll_loss, on lines of their own
    source = _source(made, log_softmax.inputs[0])
    if source is not None and source.spec.op.name == "softmax_":
        _report(
            "softmax_before_cross_entropy", source.location,
            "CrossEntropyLoss got the result of softmax(), which it applies itself: the model "
            "will learn slowly.",
            "Pass it the output of the last layer, without softmax().",
        )  # fmt: skip


# the first steps of an optimizer -----------------------------------------------------------------


def _before_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    steps = _state.steps.get(optimizer)
    if steps is None:
        steps = _state.steps[optimizer] = _Steps()
    if steps.count >= FIRST_STEPS:
        return
    steps.count += 1
    gradients = {
        id(p): p._grad for group in optimizer.param_groups for p in group["params"]
        if p._grad is not None
    }  # fmt: skip
    if "missing_zero_grad" in _state.on and any(
        _still_in(steps.gradients.get(key), gradient) for key, gradient in gradients.items()
    ):
        _report(
            "missing_zero_grad", user_location(),
            "The gradients of this step were added to those of the step before.",
            "Call optimizer.zero_grad() before loss.backward().",
        )  # fmt: skip


def _after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    steps = _state.steps.get(optimizer)
    if steps is not None and steps.count < FIRST_STEPS:
        steps.gradients = {
            id(p): (id(p._grad), id(p._grad._read()))
            for group in optimizer.param_groups
            for p in group["params"]
            if p._grad is not None
        }


def _still_in(before: tuple[int, int] | None, gradient: Any) -> bool:
    """Whether a gradient is a sum that begins with the value it had in the step before.

    Only what has been recorded since is looked at: the old value is alive as long as that.
    """
    if before is None or id(gradient) != before[0]:
        return False
    trace = here.trace
    base, value = trace.slot.base, gradient._read()
    makers: dict[int, Any] = {}
    state: Any = trace.state
    while state.parent is not None:
        makers[state.first] = state.key
        state = state.parent
    for _ in range(len(makers)):
        key = makers.get(value.pos)
        if key is None or key[0].op.name not in ("add", "add_"):
            return False
        value = trace.values[key[1] - base]
        if id(value) == before[1]:
            return True
    return False


# what only the user can judge --------------------------------------------------------------------


def inspect(model: Any, optimizer: Any = None) -> list[str]:
    """Look at a model (and its optimizer) for what is often, not always, a mistake.

    Modules in a plain list or dictionary, whose parameters the model does not know; parameters
    that no group of the optimizer has; parameters without a gradient (call it after
    ``loss.backward()``).

    Args:
        model: a module.
        optimizer: an optimizer, if its parameters are to be looked at too.

    Returns:
        What was found, one line each.

    >>> import rushlight as torch
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = [torch.nn.Linear(2, 2)]
    >>> for line in torch.debug.checks.inspect(Net()):
    ...     print(line)
    Net.layers is a plain list with modules the model does not know; use nn.ModuleList
    """
    found = [line for name, module in model.named_modules() for line in _hidden(model, module)]
    seen: set[int] | None = None
    if optimizer is not None:
        seen = {id(p) for group in optimizer.param_groups for p in group["params"]}
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    some = any(p._grad is not None for _, p in parameters)
    for name, p in parameters:
        if seen is not None and id(p) not in seen:
            found.append(f"{name} is in no group of the optimizer: it will never change")
        elif some and p._grad is None:
            found.append(f"{name} has no gradient: the loss does not depend on it")
    return found


def _hidden(model: Any, module: Any) -> Iterator[str]:
    known = {id(inner) for inner in model.modules()}
    advice = {list: "nn.ModuleList", tuple: "nn.ModuleList", dict: "nn.ModuleDict"}
    for name, value in vars(module).items():
        kind: Any = type(value)
        if kind not in advice or name.startswith("_"):
            continue
        members = value.values() if kind is dict else value
        if any(isinstance(x, Module) and id(x) not in known for x in members):
            yield (
                f"{type(module).__name__}.{name} is a plain {kind.__name__} with modules the model "
                f"does not know; use {advice[kind]}"
            )


_before_step.looks_only = _after_step.looks_only = True  # type: ignore[attr-defined]
misses.lookers.append(_look)
register_optimizer_step_pre_hook(_before_step)
register_optimizer_step_post_hook(_after_step)
