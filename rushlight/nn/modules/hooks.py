"""Hooks on modules: the handles that take them away, and those that watch every module."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Any]

MIXED_HOOKS = (
    "Cannot use both regular backward hooks and full backward hooks on a single Module. "
    "Please use only one of them."
)


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again.

    It knows the table of hooks weakly, and also works as a context manager.

    Args:
        hooks_dict: the table the hook stands in.
        extra_dict: another table, or a list of them, with facts about the hook.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        extra = [extra_dict] if isinstance(extra_dict, dict) else extra_dict or []
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.extra_dict_ref = tuple(weakref.ref(table) for table in extra)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = reference()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.hooks_dict_ref = weakref.ref(OrderedDict() if state[0] is None else state[0])
        self.id = state[1]
        self.extra_dict_ref = tuple(weakref.ref(table) for table in state[2])
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add_hook(table: Hooks, hook: Hook, *facts: Hooks, prepend: bool = False) -> RemovableHandle:
    """Enter ``hook`` in a table, and its number in each of ``facts``."""
    handle = RemovableHandle(table, extra_dict=list(facts))
    table[handle.id] = hook
    for fact in facts:
        fact[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


class BoundHook:
    """A hook that gets its module as first argument and knows it weakly."""

    def __init__(self, hook: Hook, module: Any = None) -> None:
        self.hook = hook
        self.__name__ = getattr(hook, "__name__", type(hook).__name__)
        self.with_module = module is not None
        if module is not None:
            self.module = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        module = self.module() if self.with_module else None
        return {"hook": self.hook, "with_module": self.with_module, "module": module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        module = state.get("module")
        if state["with_module"] and module is None:
            raise RuntimeError("You are trying to revive the hook of a dead Module!")
        BoundHook.__init__(self, state["hook"], module)


class GlobalHooks:
    """The tables of hooks that run for every module; ``any`` holds the numbers of those that
    calling a module has to ask for."""

    def __init__(self) -> None:
        self.any: Hooks = OrderedDict()
        self.forward_pre: Hooks = OrderedDict()
        self.forward: Hooks = OrderedDict()
        self.forward_with_kwargs: Hooks = OrderedDict()
        self.forward_always_called: Hooks = OrderedDict()
        self.backward_pre: Hooks = OrderedDict()
        self.backward: Hooks = OrderedDict()
        self.backward_is_full: bool | None = None
        self.buffer_registration: Hooks = OrderedDict()
        self.module_registration: Hooks = OrderedDict()
        self.parameter_registration: Hooks = OrderedDict()


everywhere = GlobalHooks()


def registered(table: Hooks, module: Any, name: str, value: Any) -> Any:
    """``value`` after the registration hooks have seen, and maybe replaced it."""
    for hook in table.values():
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` whenever a module gets a buffer.

    What it returns, if not ``None``, takes the buffer's place.
    """
    return add_hook(everywhere.buffer_registration, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` whenever a module gets a submodule."""
    return add_hook(everywhere.module_registration, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` whenever a module gets a parameter."""
    return add_hook(everywhere.parameter_registration, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before the forward pass of every module."""
    return add_hook(everywhere.forward_pre, hook, everywhere.any)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the forward pass of every module.

    Args:
        hook: what it returns, if not ``None``, takes the output's place.
        with_kwargs: also hand it the keyword arguments: ``hook(module, args, kwargs, output)``.
        always_call: call it also when the forward pass raises.
    """
    facts = [everywhere.any]
    if with_kwargs:
        facts.append(everywhere.forward_with_kwargs)
    if always_call:
        facts.append(everywhere.forward_always_called)
    return add_hook(everywhere.forward, hook, *facts)


def _global_backward(hook: Hook, full: bool) -> RemovableHandle:
    if everywhere.backward_is_full is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them."
        )
    everywhere.backward_is_full = full
    return add_hook(everywhere.backward, hook, everywhere.any)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` on the last operation of every module.

    Out of date: ``register_module_full_backward_hook`` sees the gradients of the whole module.
    """
    return _global_backward(hook, full=False)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the backward pass of every module."""
    return add_hook(everywhere.backward_pre, hook, everywhere.any)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward pass of every module."""
    return _global_backward(hook, full=True)


class ModuleHooks:
    """The hooks of one module, and how they are registered."""

    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: Hooks
    _forward_hooks_always_called: Hooks
    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: Hooks
    _backward_hooks: Hooks
    _backward_pre_hooks: Hooks
    _is_full_backward_hook: bool | None

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``.

        Args:
            hook: what it returns, if not ``None``, takes the arguments' place.
            prepend: run it before the hooks already there.
            with_kwargs: ``hook(module, args, kwargs)`` may return new ``(args, kwargs)``.
        """
        facts = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return add_hook(self._forward_pre_hooks, hook, *facts, prepend=prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``.

        Args:
            hook: what it returns, if not ``None``, takes the output's place.
            prepend: run it before the hooks already there.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also when ``forward`` raises.
        """
        facts = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            facts.append(self._forward_hooks_always_called)
        return add_hook(self._forward_hooks, hook, *facts, prepend=prepend)

    def register_full_backward_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the gradients of the inputs are computed.

        What it returns, if not ``None``, takes the place of ``grad_output``.
        """
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the inputs' gradients are there.

        What it returns, if not ``None``, takes the place of ``grad_input``.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(MIXED_HOOKS)
        self._is_full_backward_hook = True
        return add_hook(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` on the module's last operation.

        Its ``grad_input`` are that operation's. Out of date: ``register_full_backward_hook`` sees
        the gradients of the whole module.
        """
        if self._is_full_backward_hook is True:
            raise RuntimeError(MIXED_HOOKS)
        self._is_full_backward_hook = False
        return add_hook(self._backward_hooks, hook)

    def _get_backward_hooks(self) -> tuple[list[Hook], list[Hook]]:
        """The full backward hooks, and those of the old kind."""
        full: list[Hook] = []
        old: list[Hook] = []
        (full if everywhere.backward_is_full else old).extend(everywhere.backward.values())
        (full if self._is_full_backward_hook else old).extend(self._backward_hooks.values())
        return full, old

    def _get_backward_pre_hooks(self) -> list[Hook]:
        return [*everywhere.backward_pre.values(), *self._backward_pre_hooks.values()]
