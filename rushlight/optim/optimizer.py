"""What all optimizers share: parameter groups, state, saving, and applying a rule.

Note: one rule, one node
    Every algorithm is one pure function of tensors and numbers for one parameter. ``_apply``
    records it for all parameters of a group as one node; learning rates and step counts are
    inputs of the program, so that a schedule compiles nothing again.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._info import typename
from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import enable_grad
from rushlight.engine.interpreter import Failed
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace import views
from rushlight.engine.trace.group import record_group
from rushlight.optim.hooks import OptimizerHooks, everywhere, new_tables
from rushlight.optim.rows import REMEMBERED, Rows, advance as advance, new_step

Group = dict[str, Any]
Closure = Callable[[], Any] | None


class _Required:
    """Marks an option without a default."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer(OptimizerHooks):
    """Base of optimizers.

    Args:
        params: tensors, pairs of name and tensor, or dictionaries of groups with own options.
        defaults: options of groups that do not say otherwise.

    See https://pytorch.org/docs/stable/optim.html.
    """

    def __init__(self, params: Any, defaults: Group) -> None:
        self.defaults = defaults
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params.type()}"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._hooks = new_tables()
        self._rows: dict[int, Rows] = {}
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = _hooked_step(cls.__dict__["step"])  # type: ignore[method-assign]

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.setdefault("_hooks", new_tables())
        self._rows = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or set them to zero)."""
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is None:
                    continue
                if set_to_none:
                    p._grad = None
                else:
                    p._grad.detach_()
                    p._grad.zero_()

    def step(self, closure: Closure = None) -> Any:
        """One step of the algorithm; to be written by the subclass."""
        raise NotImplementedError

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        listed = param_group["params"]
        if isinstance(listed, Tensor):
            listed = [listed]
        elif isinstance(listed, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        listed = list(listed)
        names = [item[0] for item in listed if isinstance(item, tuple)]
        if names:
            if len(names) != len(listed):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are "
                    "missing"
                )
            param_group["param_names"] = names
            listed = [item[1] for item in listed]
        param_group["params"] = listed
        for p in listed:
            if not isinstance(p, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is " + typename(p)
                )
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        self._check_overlap(param_group)
        self.param_groups.append(param_group)

    def _check_overlap(self, added: Group) -> None:
        """Refuse a group that shares parameters with another, or is named where others are not."""
        own = {id(p) for p in added["params"]}
        if len(own) != len(added["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=4,
            )
        for group in self.param_groups:
            if ("param_names" in added) != ("param_names" in group):
                how = "with names" if "param_names" in added else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {how} to the optimizer"
                )
        if own & {id(p) for group in self.param_groups for p in group["params"]}:
            raise ValueError("some parameters appear in more than one parameter group")

    # saving ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and options as plain containers; parameters are numbered."""
        for hook in self._hooks["save"].values():
            hook(self)
        numbers: dict[int, int] = {}

        def pack(group: Group) -> Group:
            packed = {key: value for key, value in group.items() if key != "params"}
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            return packed

        groups = [pack(group) for group in self.param_groups]
        state = {
            (numbers[id(key)] if isinstance(key, Tensor) else key): value
            for key, value in self.state.items()
        }
        saved = {"state": state, "param_groups": groups}
        for hook in self._hooks["saved"].values():
            changed = hook(self, saved)
            saved = saved if changed is None else changed
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave; the groups must have the same sizes."""
        state_dict = dict(state_dict)
        for hook in self._hooks["load"].values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups, saved = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(group["params"]) != len(other["params"])
            for group, other in zip(groups, saved, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        numbered = dict(
            zip(
                chain.from_iterable(group["params"] for group in saved),
                chain.from_iterable(group["params"] for group in groups),
                strict=True,
            )
        )
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in numbered:
                state[numbered[key]] = _own_state(numbered[key], value)
            else:
                state[key] = value
        for group, other in zip(groups, saved, strict=True):
            other["params"] = group["params"]
            if "param_names" in group:
                other.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._hooks["loaded"].values():
            hook(self)

    # for the algorithms ------------------------------------------------------------------------

    def _loss(self, closure: Closure) -> Any:
        if closure is None:
            return None
        with enable_grad():
            return closure()

    def _with_gradients(self, group: Group) -> list[Any]:
        """The parameters of a group that have a gradient."""
        found = [p for p in group["params"] if p._grad is not None]
        for p in found:
            if p._grad._value.meta.dtype is not p._value.meta.dtype:
                raise RuntimeError(
                    f"{type(self).__name__}: gradient of type {p._grad.dtype} for a parameter of "
                    f"type {p.dtype}"
                )
        known = self._rows
        rows = known.get(id(group))
        if rows is None or not rows.holds(found, self.state):
            if len(known) > REMEMBERED:
                known.clear()
            rows = known[id(group)] = Rows(found, self.state)
        return rows

    def _begin(self, params: Iterable[Any], *names: str, **numbers: float) -> None:
        """Give parameters without state a step count of 0, these numbers, and zeros by name."""
        if isinstance(params, Rows):
            if params.mine and all(params.mine):
                return
            params.stale = True
        for p in params:
            own = self.state[p]
            if not own:
                own["step"] = new_step()
                for name, value in numbers.items():
                    own[name] = new_step(value)
                for name in names:
                    own[name] = zeros_like(p)

    def _forget_failed_step(self) -> None:
        """Count no step for parameters whose gradient could not be computed.

        They and their state have kept their values; what was made in this step goes.
        """
        for p, own in self.state.items():
            if p._grad is None or not _is_failed(p._grad):
                continue
            if "step" not in own:
                for name in [n for n, x in own.items() if _is_failed(x)]:
                    del own[name]
            elif own["step"].item() <= 1:
                own.clear()
            else:
                views.assign(own["step"], new_step(own["step"].item() - 1)._value, None)

    def _apply(
        self,
        rule: Callable[..., Any],
        params: Sequence[Any],
        states: Sequence[str],
        scalars: dict[str, Any],
        **flags: Any,
    ) -> None:
        """Record ``rule`` for all ``params`` and store what it gives.

        Args:
            rule: ``rule(param, grad, *state, **scalars, **flags)`` gives the new parameter and
                the new state tensors, in this order.
            params: parameters with gradients.
            states: names of the state tensors the rule takes.
            scalars: numbers that may differ at every step.
            flags: what decides the course of the rule.
        """
        if not params:
            return
        numbers = {
            key: value if value.__class__ is float else _number(value)
            for key, value in scalars.items()
        }
        if isinstance(params, Rows) and params.update(rule, states, numbers, flags):
            return
        state = self.state
        rows = [(p, p._grad, *[state[p][name] for name in states]) for p in params]
        results = record_group(rule, rows, numbers, flags)
        for row, made in zip(rows, results, strict=True):
            for target, new in zip((row[0], *row[2:]), made, strict=True):
                views.assign(target, new._value, None)


def _is_failed(x: Any) -> bool:
    return isinstance(x, Tensor) and x._read().buffer.__class__ is Failed


def _number(value: Any) -> Any:
    """A number for the program; a learning rate may be a tensor."""
    if value.__class__ is float or value.__class__ is int:
        return value
    return value.item() if isinstance(value, Tensor) else float(value)


def _own_state(param: Any, value: Any) -> Any:
    """Loaded state in the parameter's type (step counts keep theirs)."""
    if not isinstance(value, dict):
        return deepcopy(value)
    made = {}
    for key, item in value.items():
        if isinstance(item, Tensor) and key != "step" and param.is_floating_point():
            made[key] = item.detach().to(param.dtype).clone()
        else:
            made[key] = deepcopy(item)
    return made


def _run_pre_hooks(self: Optimizer, step: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """What ``step`` is called with after the hooks before it."""
    for hook in (*everywhere.pre.values(), *self._hooks["pre"].values()):
        changed = hook(self, args, kwargs)
        if changed is not None:
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{changed}."
                )
            args, kwargs = changed
    return args, kwargs


def _hooked_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step without recording for differentiation, with its hooks, that ends in a flush."""

    @functools.wraps(step)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        hooks = self._hooks
        if everywhere.pre or hooks["pre"]:
            args, kwargs = _run_pre_hooks(self, step, args, kwargs)
        trace = here.trace
        before, trace.grad = trace.grad, False
        try:
            result = step(self, *args, **kwargs)
        finally:
            here.trace.grad = before
        if everywhere.post or hooks["post"]:
            for hook in (*hooks["post"].values(), *everywhere.post.values()):
                hook(self, args, kwargs)
        try:
            flush("optimizer.step()")
        except Exception:
            self._forget_failed_step()
            raise
        return result

    return call


def check_at_least(name: str, value: float, low: float = 0.0, high: float | None = None) -> None:
    """PyTorch's error for an option out of its range."""
    inside = low <= value if high is None else low <= value < high
    if not inside:
        raise ValueError(f"Invalid {name}: {value}")


def zeros_like(param: Any) -> Tensor:
    """Zeros with shape and type of a parameter, outside the graph."""
    return tensor_of_array(np.zeros(tuple(param.shape), param.dtype.numpy))


def common_options(group: dict[str, Any]) -> dict[str, bool]:
    """The flags nearly every rule takes."""
    return {"decay": group["weight_decay"] != 0, "maximize": group["maximize"]}


def with_decay(param: Any, grad: Any, weight_decay: Any, decay: bool, maximize: bool) -> Any:
    """The gradient of the penalised objective, downhill."""
    if maximize:
        grad = -grad
    return grad + param * weight_decay if decay else grad
