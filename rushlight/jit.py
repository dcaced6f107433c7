"""``torch.jit`` where programs are recorded as they run: functions stay the functions they are.

There is nothing to translate. What PyTorch does when its variable ``PYTORCH_JIT`` is 0 holds here:
``script`` hands its argument back, and the marks that only TorchScript reads change nothing.
Saved TorchScript archives are not read.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Final as Final, NoReturn, TypeVar

from rushlight.nn.modules.module import Module

_T = TypeVar("_T")


class ScriptModule(Module):
    """The class of modules that TorchScript has translated, for ``isinstance``: there are none."""


class ScriptFunction:
    """The class of functions that TorchScript has translated, for ``isinstance``."""


class Attribute:
    """A value and the type that TorchScript is told of it."""

    def __new__(cls, value: Any, type: Any = None) -> Any:
        return value


def script(obj: _T, *args: Any, **kwargs: Any) -> _T:
    """The function, class or module itself, which is recorded and compiled as it is.

    >>> import rushlight as torch
    >>> torch.jit.script(torch.relu) is torch.relu
    True
    """
    return obj


def trace(func: _T, *args: Any, **kwargs: Any) -> _T:
    """The function or module itself: it is recorded anew each time, so no example is needed."""
    return func


def script_if_tracing(fn: _T) -> _T:
    """The function itself."""
    return fn


def unused(fn: _T) -> _T:
    """The function itself."""
    return fn


def export(fn: _T) -> _T:
    """The function itself."""
    return fn


def interface(obj: _T) -> _T:
    """The class itself."""
    return obj


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself; also as ``@ignore(...)``."""
    return drop if callable(drop) else lambda fn: fn


def optimize_for_inference(mod: _T, *args: Any, **kwargs: Any) -> _T:
    """The module itself."""
    return mod


def freeze(mod: _T, *args: Any, **kwargs: Any) -> _T:
    """The module itself."""
    return mod


def annotate(the_type: Any, the_value: _T) -> _T:
    """The value itself."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's own ``isinstance``."""
    return builtins.isinstance(obj, target_type)


def is_scripting() -> bool:
    """Whether TorchScript translates this code: never."""
    return False


def is_tracing() -> bool:
    """Whether ``trace`` runs this code: never."""
    return False


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"torch.jit.{name}: rushlight neither writes nor reads TorchScript archives; "
            "save the state with torch.save(model.state_dict(), path)"
        )

    return refuse


save = _refuse("save")
load = _refuse("load")
