"""torchvision beside rushlight: the same images for both, and what comes out of both compared."""

from __future__ import annotations

import importlib
import importlib.util
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight
from benchmarks import torchvision_peer
from rushlight._tensor import Tensor
from rushlight.vision import transforms

ABSENT = "torchvision is absent: the comparison needs the extra `oracle`"

_random = np.random.default_rng(0)
PIXELS = _random.integers(0, 256, (13, 17, 3), dtype=np.uint8)
FRACTIONS = _random.random((3, 13, 17), dtype=np.float32)
PLANES = np.ascontiguousarray(PIXELS.transpose(2, 0, 1))

#: The images by their names: Pillow's, and arrays from which each side makes its tensor.
IMAGES: dict[str, Any] = {
    "picture": lambda: Image.fromarray(PIXELS),
    "grey": lambda: Image.fromarray(PIXELS[..., 0].copy()),
    "bytes": PLANES,
    "batch": np.stack([PLANES, PLANES[:, ::-1]]),
    "floats": FRACTIONS,
    "one": FRACTIONS[:1],
}


def load_torchvision() -> Any:
    """torchvision, or the test is skipped."""
    pytest.importorskip("torch", reason=ABSENT)
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip(ABSENT)
    torchvision_peer.load()
    return importlib.import_module("torchvision")


class Sides:
    """Calls of both libraries with what belongs to each."""

    def __init__(self, torchvision: Any) -> None:
        self.vision = torchvision
        self.torch = importlib.import_module("torch")

    def _theirs(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.torch.from_numpy(value.copy())
        if isinstance(value, transforms.InterpolationMode):
            return self.vision.transforms.InterpolationMode(value.value)
        if isinstance(value, rushlight.dtype):
            return getattr(self.torch, str(value).removeprefix("torch."))
        return value() if callable(value) else value

    @staticmethod
    def _ours(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return rushlight.tensor(value)
        return value() if callable(value) and not isinstance(value, rushlight.dtype) else value

    def both(
        self, theirs: Callable[..., Any], ours: Callable[..., Any], *args: Any, **options: Any
    ) -> tuple[Any, Any]:
        """What both calls give, or the error each ends in."""
        results = []
        for call, own in ((theirs, self._theirs), (ours, self._ours)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    made = call(*map(own, args), **{k: own(v) for k, v in options.items()})
                    results.append(numbers(made))
                except Exception as error:
                    first_line = str(error).splitlines()[0]
                    results.append((type(error), first_line))
        return results[0], results[1]

    def seed(self, seed: int) -> None:
        """Both in the same state."""
        self.torch.manual_seed(seed)
        rushlight.manual_seed(seed)
        random.seed(seed)

    def same_state(self) -> bool:
        """Whether both have drawn as many random numbers."""
        theirs = self.torch.get_rng_state().numpy()
        return bool(np.array_equal(theirs, rushlight.get_rng_state()._array()))


def numbers(value: Any) -> Any:
    """Images as arrays."""
    if isinstance(value, (tuple, list)):
        return [numbers(x) for x in value]
    if isinstance(value, Image.Image):
        return np.asarray(value)
    if isinstance(value, Tensor):
        return value._array()
    return value.numpy() if hasattr(value, "numpy") else value


def assert_same(theirs: Any, ours: Any, tolerance: float = 0.0, odd: float = 0.0) -> None:
    """Equal shapes and types, and numbers that differ by no more than a tolerance.

    Args:
        theirs: what torchvision gave.
        ours: what rushlight gave.
        tolerance: how much fractions may differ.
        odd: the part of the bytes that may differ by one, where a half is rounded.
    """
    if isinstance(theirs, list):
        assert len(theirs) == len(ours)
        for x, y in zip(theirs, ours, strict=True):
            assert_same(x, y, tolerance, odd)
        return
    if not isinstance(theirs, np.ndarray):
        assert theirs == ours
        return
    assert isinstance(ours, np.ndarray), ours
    assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    if theirs.dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=tolerance)
        return
    difference = np.abs(theirs.astype(np.int64) - ours.astype(np.int64))
    assert difference.max(initial=0) <= (1 if odd else 0)
    assert np.count_nonzero(difference) <= odd * difference.size
