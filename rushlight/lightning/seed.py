"""One seed for every source of random numbers, and their states as plain data."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np

from rushlight._creation import tensor
from rushlight._random import default_generator, manual_seed
from rushlight._tensor import Tensor

log = logging.getLogger("rushlight.lightning")

_LARGEST = np.iinfo(np.uint32).max


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = True) -> int:
    """Seed rushlight, NumPy and Python.

    Args:
        seed: 0 to 2**32 - 1; one is drawn if it is ``None``.
        workers: accepted; every loader worker has a seed of its own anyway.
        verbose: whether to say which seed it is.

    Returns:
        the seed.

    >>> seed_everything(7, verbose=False)
    7
    """
    found = random.randint(0, int(_LARGEST)) if seed is None else int(seed)
    if not 0 <= found <= _LARGEST:
        raise ValueError(f"{found} is not in bounds, numpy accepts from 0 to {_LARGEST}")
    if verbose:
        log.info("Seed set to %d", found)
    random.seed(found)
    np.random.seed(found)
    manual_seed(found)
    return found


def random_states() -> dict[str, Any]:
    """The states of rushlight's, NumPy's and Python's generators, as a checkpoint can hold them."""
    version, numbers, gauss = random.getstate()
    arrays: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = arrays
    return {
        "torch": default_generator.get_state(),
        "python": [version, list(numbers), gauss],
        "numpy": [name, tensor(keys.astype(np.int64)), int(position), int(has_gauss), cached],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the generators into states that ``random_states`` gave."""
    default_generator.set_state(states["torch"])
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    found = keys.numpy() if isinstance(keys, Tensor) else np.asarray(keys)
    np.random.set_state((name, found.astype(np.uint32), position, has_gauss, cached))
