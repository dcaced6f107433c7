"""The base class of the image data sets, and the pair of transforms that each may carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rushlight.utils.data import Dataset


def _labelled(label: str, transform: Callable[..., Any]) -> list[str]:
    """The lines of ``repr(transform)``: the first behind ``label``, the others indented by it."""
    first, *others = repr(transform).splitlines()
    return [label + first, *(" " * len(label) + line for line in others)]


class StandardTransform:
    """Applies one transform to the image and another to the target.

    Args:
        transform: called with the image, or None to leave it alone.
        target_transform: called with the target, or None to leave it alone.

    >>> from rushlight.vision.datasets import StandardTransform
    >>> StandardTransform(str.upper, None)("image", 3)
    ('IMAGE', 3)
    """

    def __init__(
        self,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        body = [type(self).__name__]
        if self.transform is not None:
            body += _labelled("Transform: ", self.transform)
        if self.target_transform is not None:
            body += _labelled("Target transform: ", self.target_transform)
        return "\n".join(body)


class VisionDataset(Dataset[Any]):
    """A data set of images; a subclass adds ``__getitem__`` and ``__len__``.

    Args:
        root: the folder of the data; only shown in the ``repr``.
        transforms: called with image and target, gives both back.
        transform: called with the image alone.
        target_transform: called with the target alone.

    Raises:
        ValueError: ``transforms`` came together with one of the other two.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.VisionDataset.html

    >>> from rushlight.vision.datasets import VisionDataset
    >>> class Squares(VisionDataset):
    ...     def __getitem__(self, index):
    ...         return index * index
    ...     def __len__(self):
    ...         return 5
    >>> Squares("data/squares")
    Dataset Squares
        Number of datapoints: 5
        Root location: data/squares
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform = transform
        self.target_transform = target_transform
        if separate:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _transformed(self, sample: Any, target: Any) -> tuple[Any, Any]:
        """The pair after ``transform`` and ``target_transform``, whatever these are by now."""
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])

    def extra_repr(self) -> str:
        """What a subclass adds to the ``repr``, one fact a line."""
        return ""
