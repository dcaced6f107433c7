"""Hooks of optimizers: around a step, around saving and loading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight.engine.trace.gradient_node import HookHandle

Hook = Callable[..., Any]
Tables = dict[str, OrderedDict[int, Any]]


def new_tables() -> Tables:
    """Empty tables of an optimizer's hooks."""
    return {name: OrderedDict() for name in ("pre", "post", "save", "saved", "load", "loaded")}


class _Everywhere:
    """Hooks on the steps of all optimizers."""

    def __init__(self) -> None:
        self.pre: OrderedDict[int, Any] = OrderedDict()
        self.post: OrderedDict[int, Any] = OrderedDict()


everywhere = _Everywhere()


def register_optimizer_step_pre_hook(hook: Hook) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return HookHandle(everywhere.pre, hook)


def register_optimizer_step_post_hook(hook: Hook) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return HookHandle(everywhere.post, hook)


class OptimizerHooks:
    """How hooks are registered on one optimizer."""

    _hooks: Tables

    def _register(self, name: str, hook: Hook, prepend: bool = False) -> HookHandle:
        handle = HookHandle(self._hooks[name], hook)
        if prepend:
            self._hooks[name].move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` before every step.

        It may return other ``(args, kwargs)``.
        """
        return self._register("pre", hook)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` after every step."""
        return self._register("post", hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` before the state is saved."""
        return self._register("save", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` on the saved state; it may return another."""
        return self._register("saved", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another state."""
        return self._register("load", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` after loading."""
        return self._register("loaded", hook, prepend)
