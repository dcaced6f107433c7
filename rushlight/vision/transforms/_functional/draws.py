"""Single random numbers from the default generator, as one-element tensors of PyTorch's draw them.

An augmented image takes several of them, so they come without a tensor around each.
"""

from __future__ import annotations

import struct

import numpy as np

from rushlight.engine.core import sampling, sampling_rejection
from rushlight.engine.core.dtype import float32, get_default_dtype
from rushlight.engine.core.sampling_numerics import fused_float32
from rushlight.engine.ops.random import default_engine

_FRACTION_BITS = 2**24 - 1
_FRACTION_STEP = 2.0**-24

_single = np.float32
_DOUBLE = struct.Struct("<d")

#: The bits of a double that a single number has no room for, and the first of them alone.
_BELOW_SINGLE = 2**29 - 1
_HALF_WAY = 2**28

#: From this span on PyTorch takes 64-bit draws; ``sampling.randint`` knows.
_WIDE_SPAN = 2**28


def rand() -> float:
    """What ``torch.rand(1).item()`` gives.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms._functional import draws
    >>> _ = torch.manual_seed(0)
    >>> round(draws.rand(), 4)
    0.4963
    """
    found = get_default_dtype()
    if found is float32:
        return (int(default_engine.draw32(1)[0]) & _FRACTION_BITS) * _FRACTION_STEP
    return float(sampling.uniform(default_engine, (1,), found)[0])


def below(bound: float) -> bool:
    """What ``bool(torch.rand(1) < bound)`` gives: the bound counts in the type of the draw."""
    found = get_default_dtype()
    drawn = rand()
    return drawn < float(np.float32(bound)) if found is float32 else drawn < bound


def at_most(bound: float) -> bool:
    """What ``not bool(bound < torch.rand(1))`` gives."""
    found = get_default_dtype()
    drawn = rand()
    return drawn <= float(np.float32(bound)) if found is float32 else drawn <= bound


def uniform(low: float, high: float) -> float:
    """What ``torch.empty(1).uniform_(low, high).item()`` gives.

    PyTorch computes ``fraction * (high - low) + low`` in single precision and rounds once. In
    double precision the product is exact and the sum all but that, unless it lands half-way between
    two single numbers: then, as for other types and wrong bounds, the sampler of arrays decides.
    """
    found = get_default_dtype()
    if found is not float32 or not low <= high:
        return float(sampling.uniform(default_engine, (1,), found, float(low), float(high))[0])
    bottom, top = float(_single(low)), float(_single(high))
    fraction = int(default_engine.draw32(1)[0]) & _FRACTION_BITS
    scale = float(_single(top - bottom)) * _FRACTION_STEP
    total = fraction * scale + bottom
    if int.from_bytes(_DOUBLE.pack(total)[:4], "little") & _BELOW_SINGLE == _HALF_WAY:
        made = float(fused_float32(np.array([fraction], np.float64), scale, bottom)[0])
    else:
        made = float(_single(total))
    return bottom if made == top else made


def integer(low: int, high: int) -> int:
    """What ``torch.randint(low, high, (1,)).item()`` gives."""
    span = high - low
    if 0 < span < _WIDE_SPAN:
        return low + int(default_engine.draw32(1)[0]) % span
    return int(sampling.randint(default_engine, (1,), low, high)[0])


def permutation(count: int) -> list[int]:
    """What ``torch.randperm(count).tolist()`` gives."""
    order: list[int] = sampling.randperm(default_engine, count).tolist()
    return order


def dirichlet(count: int, concentrations: list[float]) -> np.ndarray:
    """Rows of shares that add up to one, ``(count, len(concentrations))`` in single precision."""
    wanted = np.tile(np.array(concentrations, np.float32), (count, 1))
    return sampling_rejection.dirichlet(default_engine, wanted)
