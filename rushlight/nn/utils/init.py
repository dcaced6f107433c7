"""Making a module without filling its parameters."""

from __future__ import annotations

import inspect
from typing import Any

from rushlight._random import get_rng_state, set_rng_state
from rushlight.nn.modules.module import Module


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """``module_cls(*args, **kwargs)`` with parameters of undefined contents.

    The random numbers that filling them would have taken are not used up.

    Raises:
        RuntimeError: ``module_cls`` is no module class that takes ``device``.

    >>> import rushlight as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 3)
    Linear(in_features=2, out_features=3, bias=True)
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    before = get_rng_state()
    made = module_cls(*args, **kwargs)
    set_rng_state(before)
    return made
