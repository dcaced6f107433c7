"""Mixed precision for a ``with`` block or a function: ``torch.autocast``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rushlight.amp.casting import exchange
from rushlight.engine.core.device import device as make_device
from rushlight.engine.core.dtype import bfloat16, dtype as dtype_class, float16, float64
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.trace.autocast import state

#: Types of the blocks of backends that are not here, as PyTorch has them from the start.
_ELSEWHERE: dict[str, dtype_class] = {"cuda": float16, "mps": float16}


def _kind(device_type: str) -> str:
    """The name of a kind of device; PyTorch's error for one that is none."""
    return make_device(device_type).type


class autocast:
    """Compute matrix products and convolutions in a type of lower precision.

    As a context manager or as a decorator. Operators of PyTorch's list for processors convert
    their float inputs: products, convolutions and attention to ``dtype``, losses and others that
    need the range to float32; all others compute in the types they are given.

    Args:
        device_type: ``"cpu"``; for a kind of device that this machine lacks it is switched off
            with PyTorch's warning.
        dtype: ``torch.bfloat16`` (the default) or ``torch.float16``.
        enabled: whether operators convert; ``False`` inside another block switches that off.
        cache_enabled: whether a parameter that is used several times is converted once.

    Raises:
        ValueError: ``device_type`` is no string.
        RuntimeError: there is no such kind of device.

    See https://pytorch.org/docs/stable/amp.html#torch.autocast.

    >>> import rushlight as torch
    >>> layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     y = layer(x)
    >>> y.dtype, layer.weight.dtype
    (torch.bfloat16, torch.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype_class | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = _kind(device_type)
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else dtype
        self._cache_enabled = state.cache_enabled if cache_enabled is None else cache_enabled
        if enabled and self.device == "cuda":
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.device != "cpu":
            warnings.warn(
                f"There is no device of type {self.device} here. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.fast_dtype not in (bfloat16, float16):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = bool(enabled)
        self._before: list[tuple[bool, dtype_class, bool]] = []

    def __enter__(self) -> autocast:
        self._before.append((state.enabled, state.dtype, state.cache_enabled))
        if self.device == "cpu":
            if state.depth == 0:
                exchange.enter()
            state.depth += 1
            state.enabled, state.dtype = self._enabled, self.fast_dtype
            state.cache_enabled = self._cache_enabled
        return self

    def __exit__(self, *exception: object) -> None:
        before = self._before.pop()
        if self.device == "cpu":
            state.enabled, state.dtype, state.cache_enabled = before
            state.depth -= 1
            if state.depth == 0:
                state.cache.clear()
                exchange.leave()

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return call


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for a kind of device.

    >>> import rushlight as torch
    >>> torch.amp.is_autocast_available("cpu")
    True
    """
    return _kind(device_type) in ("cpu", "cuda", "mps", "xpu", "mtia", "hpu", "xla")


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether the present thread is in an autocast block for a kind of device.

    >>> import rushlight as torch
    >>> with torch.autocast("cpu"):
    ...     torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled()
    (True, False)
    """
    return _kind(device_type) == "cpu" and state.enabled


def get_autocast_dtype(device_type: str) -> dtype_class:
    """The type of lower precision of a kind of device.

    >>> import rushlight as torch
    >>> torch.get_autocast_dtype("cpu")
    torch.bfloat16
    """
    kind = _kind(device_type)
    return state.dtype if kind == "cpu" else _ELSEWHERE.get(kind, bfloat16)


def is_autocast_cache_enabled() -> bool:
    """Whether parameters are converted once in a block.

    >>> import rushlight as torch
    >>> torch.is_autocast_cache_enabled()
    True
    """
    return state.cache_enabled


def clear_autocast_cache() -> None:
    """Forget the converted parameters of the present thread."""
    state.cache.clear()


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str,
    cast_inputs: dtype_class | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Decorate the ``forward`` of a ``torch.autograd.Function`` for use under autocast.

    Args:
        fwd: the method.
        device_type: of which kind of device.
        cast_inputs: under autocast convert tensors among the arguments to this type, and switch
            autocast off inside.

    See https://pytorch.org/docs/stable/amp.html#torch.amp.custom_fwd.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    found: Callable[..., Any] = fwd

    @functools.wraps(found)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_autocast_enabled(device_type)
        if cast_inputs is None or not ctx._fwd_used_autocast:
            return found(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return found(ctx, *_converted(args, cast_inputs), **_converted(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorate the ``backward`` of a ``torch.autograd.Function``: autocast is as in ``forward``.

    Args:
        bwd: the method.
        device_type: of which kind of device.

    See https://pytorch.org/docs/stable/amp.html#torch.amp.custom_bwd.
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    found: Callable[..., Any] = bwd

    @functools.wraps(found)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return found(ctx, *args, **kwargs)

    return decorated


def _converted(value: Any, to: dtype_class) -> Any:
    """The floating-point tensors in ``value`` in another type."""
    if isinstance(value, TensorBase):
        found = value._value.meta.dtype
        plain = not found.is_floating_point or found is float64 or found is to
        return value if plain else value.to(to)  # type: ignore[attr-defined]
    if isinstance(value, (str, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {name: _converted(part, to) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_converted(part, to) for part in value)
    return value
