"""Transforms made of transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.nn import Module
from rushlight.vision.transforms._functional import draws

Transform = Callable[..., Any]


def _lines(name: str, *entries: Any) -> str:
    """A transform and what it is made of, one to a line."""
    return "\n".join([f"{name}(", *(f"    {entry}" for entry in entries), ")"])


class Compose:
    """Transforms one after the other.

    Args:
        transforms: what is called, the first with the image, each other with the last result.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Compose.html

    >>> from rushlight.vision import transforms
    >>> transforms.Compose([transforms.Resize(32), transforms.ToTensor()])
    Compose(
        Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)
        ToTensor()
    )
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _lines(type(self).__name__, *self.transforms)


class Lambda:
    """A function of one's own as a transform.

    Args:
        lambd: called with the image.

    Raises:
        TypeError: it cannot be called.

    >>> from rushlight.vision import transforms
    >>> transforms.Lambda(abs)(-3)
    3
    """

    def __init__(self, lambd: Transform) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RandomTransforms:
    """The base of what chooses among transforms.

    Args:
        transforms: what to choose from.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return _lines(type(self).__name__, *self.transforms)


class RandomApply(Module):
    """Transforms one after the other, or none of them.

    Args:
        transforms: a list of transforms (or a ``ModuleList``).
        p: the probability that they are applied.

    >>> from rushlight.vision import transforms
    >>> transforms.RandomApply([abs], p=0.0)(-3)
    -3
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        """``img``, changed or not."""
        if not draws.at_most(self.p):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _lines(type(self).__name__, f"p={self.p}", *self.transforms)


class RandomOrder(RandomTransforms):
    """All of the transforms, in an order drawn from Python's ``random``.

    >>> from rushlight.vision import transforms
    >>> transforms.RandomOrder([abs, float])(-3)
    3.0
    """

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for index in order:
            img = self.transforms[index](img)
        return img


class RandomChoice(RandomTransforms):
    """One of the transforms, drawn from Python's ``random``.

    Args:
        transforms: what to choose from.
        p: a weight for each of them; all the same if absent.

    >>> from rushlight.vision import transforms
    >>> transforms.RandomChoice([abs, float], p=[1, 0])(-3)
    3
    """

    def __init__(self, transforms: Sequence[Transform], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
