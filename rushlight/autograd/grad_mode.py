"""Switching differentiation on and off."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from rushlight.engine.trace.recorder import mode

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode:
    """A context manager and decorator that sets whether operations are differentiated."""

    _wanted = True

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __new__(cls, function: Any = None, *_: Any) -> Any:
        made = object.__new__(cls)
        if function is not None and callable(function):
            made.__init__()  # type: ignore[misc]
            return made(function)
        return made

    def __enter__(self) -> None:
        self._before.append(mode.grad)
        mode.grad = self._wanted

    def __exit__(self, *exception: object) -> None:
        mode.grad = self._before.pop()

    def _again(self) -> _GradMode:
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            decorated: Any = function
            decorated.__init__ = self(decorated.__init__)
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    def _wrap_generator(self, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            with self._again():
                try:
                    item = next(generator)
                except StopIteration as stop:
                    return stop.value
            while True:
                try:
                    sent = yield item
                except BaseException as error:
                    with self._again():
                        item = generator.throw(error)
                    continue
                try:
                    with self._again():
                        item = generator.send(sent)
                except StopIteration as stop:
                    return stop.value

        return call


class no_grad(_GradMode):
    """Record nothing for differentiation: ``with torch.no_grad():`` or ``@torch.no_grad()``.

    >>> import rushlight as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    _wanted = False


class enable_grad(_GradMode):
    """Record for differentiation, also inside ``no_grad``.

    >>> import rushlight as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """


class set_grad_enabled(_GradMode):
    """Switch differentiation on or off, at once or for a ``with`` block.

    >>> import rushlight as torch
    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    def __new__(cls, mode: bool) -> Any:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._wanted = bool(mode)
        self._outer = _swap(self._wanted)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _swap(self._wanted)

    def _again(self) -> _GradMode:
        return no_grad() if not self._wanted else enable_grad()

    def __call__(self, function: F) -> F:
        _swap(self._outer)
        return super().__call__(function)


class inference_mode(_GradMode):
    """Like ``no_grad``, for code whose results never take part in differentiation.

    >>> import rushlight as torch
    >>> with torch.inference_mode():
    ...     torch.is_grad_enabled()
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        if callable(mode):
            made.__init__()  # type: ignore[misc]
            return made(mode)
        return made

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._wanted = not mode
        self._inference = bool(mode)
        self._outer_inference: list[bool] = []

    def __enter__(self) -> None:
        self._outer_inference.append(mode.inference)
        mode.inference = self._inference
        self._before.append(mode.grad)
        if self._inference:
            mode.grad = False

    def __exit__(self, *exception: object) -> None:
        mode.inference = self._outer_inference.pop()
        mode.grad = self._before.pop()

    def _again(self) -> _GradMode:
        return inference_mode(self._inference)


def _swap(wanted: bool) -> bool:
    before, mode.grad = mode.grad, wanted
    return before


def is_grad_enabled() -> bool:
    """Whether operations are recorded for differentiation now.

    >>> import rushlight as torch
    >>> torch.is_grad_enabled()
    True
    """
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on.

    >>> import rushlight as torch
    >>> torch.is_inference_mode_enabled()
    False
    """
    return mode.inference
