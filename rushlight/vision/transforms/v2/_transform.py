"""What all transforms of this version have in common: they take whole samples."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from rushlight._random import get_rng_state, set_rng_state
from rushlight._tensor import Tensor
from rushlight.nn import Module


def _entries(sample: Any) -> list[Any]:
    """What a sample of nested tuples, lists and dictionaries consists of."""
    if isinstance(sample, (tuple, list)):
        return [entry for part in sample for entry in _entries(part)]
    if isinstance(sample, dict):
        return [entry for part in sample.values() for entry in _entries(part)]
    return [sample]


def _replaced(sample: Any, entries: list[Any]) -> Any:
    """The sample with other entries, taken from the front of a list."""
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(_replaced(part, entries) for part in sample))
    if isinstance(sample, (tuple, list)):
        return type(sample)(_replaced(part, entries) for part in sample)
    if isinstance(sample, dict):
        return {key: _replaced(part, entries) for key, part in sample.items()}
    return entries.pop(0)


def _images(entries: list[Any]) -> list[int]:
    """Where the images stand: all of Pillow's, or else the first tensor."""
    pictures = [i for i, entry in enumerate(entries) if isinstance(entry, Image.Image)]
    return pictures or [i for i, entry in enumerate(entries) if isinstance(entry, Tensor)][:1]


def change_images(sample: Any, change: Callable[[Any], Any]) -> Any:
    """A sample whose images are changed, each with the same random numbers.

    Args:
        sample: an image, or nested tuples, lists and dictionaries that hold one.
        change: called with each image; may draw from the generators.
    """
    entries = _entries(sample)
    places = _images(entries)
    before = (get_rng_state(), random.getstate()) if len(places) > 1 else None
    for number, place in enumerate(places):
        if number and before is not None:
            set_rng_state(before[0])
            random.setstate(before[1])
        entries[place] = change(entries[place])
    return _replaced(sample, entries)


class Transform(Module):
    """A transform of images in samples; a subclass writes ``transform``.

    What is called with several arguments, or with nested tuples, lists and dictionaries, gives the
    same back with its images changed: all of Pillow's, or else the first tensor. Labels and
    everything else stay as they are.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.v2.Transform.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import v2
    >>> class Double(v2.Transform):
    ...     def transform(self, inpt, params):
    ...         return inpt * 2
    >>> Double()(torch.ones(1, 1, 1), "label")
    (tensor([[[2.]]]), 'label')
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Random numbers and the like, once for all images of a sample."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """An image, changed."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        """The sample, its images changed."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        entries = _entries(sample)
        params = self.make_params([entries[place] for place in _images(entries)])
        return change_images(sample, lambda image: self.transform(image, params))


class OnSamples:
    """Makes a transform of single images one of samples; stands before it among the bases."""

    def __call__(self, *inputs: Any) -> Any:
        """The sample, its images changed."""
        call: Callable[[Any], Any] = super().__call__  # type: ignore[misc]
        if len(inputs) == 1 and isinstance(inputs[0], (Tensor, Image.Image)):
            return call(inputs[0])
        return change_images(inputs if len(inputs) > 1 else inputs[0], call)


class InTurn(Module):
    """The base of what calls other transforms, which take whole samples themselves.

    Args:
        transforms: what is called.
    """

    transforms: Sequence[Callable[..., Any]]

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, (Sequence, Module)):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not len(transforms):
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def _all(self, inputs: tuple[Any, ...], order: Sequence[int]) -> Any:
        for index in order:
            made = self.transforms[index](*inputs)
            inputs = made if len(inputs) > 1 else (made,)
        return inputs if len(inputs) > 1 else inputs[0]

    def extra_repr(self) -> str:
        return "\n".join(f"    {transform}" for transform in self.transforms)
