"""Scaling a loss so that small gradients survive float16: ``torch.amp.GradScaler``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from enum import Enum
from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.core.device import device as make_device
from rushlight.engine.core.dtype import float16


class _Stage(Enum):
    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scales losses up and gradients down again, and leaves out steps with infinite gradients.

    The scale grows by a factor after a number of steps without infinite gradients, and shrinks
    at each step with one.

    Args:
        device: ``"cpu"``; ``"cuda"``, the default, is switched off with PyTorch's warning where
            there is no GPU.
        init_scale: the first scale.
        growth_factor: by how much it grows, more than 1.
        backoff_factor: by how much it shrinks, less than 1.
        growth_interval: after how many steps it grows.
        enabled: ``False`` lets everything pass unchanged.

    See https://pytorch.org/docs/stable/amp.html#gradient-scaling and Micikevicius et al., "Mixed
    Precision Training", https://arxiv.org/abs/1710.03740.

    >>> import rushlight as torch
    >>> scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    >>> x = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.SGD([x], lr=0.5)
    >>> scaler.scale(x.sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> x.item(), scaler.get_scale()
    (0.5, 4.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = make_device(device).type
        if enabled and self._device == "cuda":
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._used = False
        self._steps: dict[int, tuple[_Stage, bool | None]] = {}
        if enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._scale = float(init_scale)
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._growth_tracker = 0

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """A tensor, or several, times the scale.

        Raises:
            ValueError: there is something else among them.
        """
        if not self._enabled:
            return outputs
        self._used = True
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = [self.scale(part) for part in outputs]
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _check_used(self, name: str) -> None:
        if not self._used:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, to look at or clip them.

        Raises:
            RuntimeError: it has been done, or ``step`` has been called, since the last ``update``.
            ValueError: there are gradients of type float16.
        """
        if not self._enabled:
            return
        self._check_used("unscale_")
        stage, _ = self._steps.get(id(optimizer), (_Stage.READY, None))
        if stage is _Stage.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if stage is _Stage.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        factor, found = 1.0 / self._scale, None
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.dtype is float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                finite = gradient.detach().isfinite().all()
                found = finite if found is None else found.logical_and(finite)
                gradient.detach().mul_(factor)
        infinite = None if found is None else not bool(found)
        self._steps[id(optimizer)] = _Stage.UNSCALED, infinite

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with gradients scaled back, if they are finite.

        Returns:
            What ``optimizer.step`` returns; ``None`` where it is left out.

        Raises:
            RuntimeError: it is the second time since the last ``update``, or there is a closure.
            AssertionError: there are no gradients, or nothing has been scaled.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_used("step")
        stage, infinite = self._steps.get(id(optimizer), (_Stage.READY, None))
        if stage is _Stage.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if stage is _Stage.READY:
            self.unscale_(optimizer)
            infinite = self._steps[id(optimizer)][1]
        if infinite is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if infinite else optimizer.step(*args, **kwargs)
        self._steps[id(optimizer)] = _Stage.STEPPED, infinite
        return result

    def update(self, new_scale: Any = None) -> None:
        """Let the scale grow or shrink after a step.

        Args:
            new_scale: the scale from now on instead.
        """
        if not self._enabled:
            return
        self._check_used("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            found = [infinite for _, infinite in self._steps.values() if infinite is not None]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(found):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    self._scale *= self._growth_factor
                    self._growth_tracker = 0
        self._steps.clear()

    def get_scale(self) -> float:
        """The scale, 1 where nothing is scaled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """By how much the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set by how much the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """By how much the scale shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set by how much the scale shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs to go on; nothing where nothing is scaled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            RuntimeError: it is empty.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
