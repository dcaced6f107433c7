"""The weights that torchvision's authors have trained: where they lie, and what belongs to them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

from rushlight import hub
from rushlight.vision.models._presets import ImageClassification
from rushlight.vision.transforms import InterpolationMode

_DATA = Path(__file__).with_name("_data")

#: The thousand names of ImageNet's classes, in the order of the models' outputs.
IMAGENET_CATEGORIES: list[str] = (_DATA / "imagenet.txt").read_text("utf-8").splitlines()

_TABLE: dict[str, dict[str, Any]] = json.loads((_DATA / "weights.json").read_text("utf-8"))


@dataclass
class Weights:
    """One trained state of a model.

    Args:
        url: the checkpoint's address.
        transforms: called without arguments, gives what prepares a picture for the model.
        meta: ``categories``, ``num_params``, ``min_size``, ``recipe``, ``_metrics`` and others.

    Source: https://docs.pytorch.org/vision/stable/models.html

    >>> from rushlight.vision.models import ResNet18_Weights
    >>> ResNet18_Weights.DEFAULT.value.url
    'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    """

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Weights):
            return NotImplemented
        if (self.url, self.meta) != (other.url, other.meta):
            return False
        mine, theirs = self.transforms, other.transforms
        if isinstance(mine, partial) and isinstance(theirs, partial):
            parts = [(one.func, one.args, one.keywords) for one in (mine, theirs)]
            return parts[0] == parts[1]
        return mine == theirs


class WeightsEnum(Enum):
    """The trained states of one model, each a ``Weights``; ``DEFAULT`` is the best of them.

    Source: https://docs.pytorch.org/vision/stable/models.html

    >>> from rushlight.vision.models import ResNet50_Weights
    >>> list(ResNet50_Weights)
    [ResNet50_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2]
    >>> ResNet50_Weights.DEFAULT
    ResNet50_Weights.IMAGENET1K_V2
    >>> ResNet50_Weights.IMAGENET1K_V2.meta["categories"][207]
    'golden retriever'
    """

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member that ``obj`` is or names; ``None`` stays ``None``.

        Raises:
            KeyError: no member has that name.
            TypeError: ``obj`` is something else.
        """
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} "
                f"but received {type(obj).__name__}."
            )
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """The parameters and buffers by name, downloaded unless they lie in the cache.

        Args:
            *args: for ``hub.load_state_dict_from_url``, after the address.
            **kwargs: ``progress``, ``check_hash``, ``model_dir`` and its other arguments.

        Raises:
            URLError: the file is not in the cache, and the network gives it not.
        """
        try:
            return hub.load_state_dict_from_url(self.url, *args, **kwargs)
        except URLError as error:
            raise URLError(f"{error.reason}. {_advice(self.url, kwargs)}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    @property
    def url(self) -> str:
        """The checkpoint's address."""
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        """Called without arguments, gives what prepares a picture for the model."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of these weights."""
        return self.value.meta


def _advice(url: str, arguments: Mapping[str, Any]) -> str:
    """Where to put the file by hand."""
    folder = arguments.get("model_dir") or os.path.join(hub.get_dir(), "checkpoints")
    name = arguments.get("file_name") or url.rpartition("/")[2]
    file = os.path.join(folder, name)
    return f"Without a network, fetch {url} elsewhere and put it at {file}"


def _stored(entry: Mapping[str, Any]) -> Weights:
    """One entry of the table."""
    options = dict(entry["transforms"])
    if "interpolation" in options:
        options["interpolation"] = InterpolationMode(options["interpolation"])
    meta = dict(entry["meta"])
    if meta["categories"] is not None:
        meta["categories"] = IMAGENET_CATEGORIES
    if "min_size" in meta:
        meta["min_size"] = tuple(meta["min_size"])
    return Weights(entry["url"], partial(ImageClassification, **options), meta)


def weights_enum(name: str, module: str) -> Any:
    """The class of one model's weights, from the table.

    Args:
        name: of the class, as ``"ResNet18_Weights"``.
        module: where it is defined.
    """
    stored = {key: _stored(entry) for key, entry in _TABLE[name]["entries"].items()}
    members = [*stored.items(), ("DEFAULT", stored[_TABLE[name]["default"]])]
    functional: Any = WeightsEnum
    made = functional(name, members, module=module)
    made.__doc__ = f"The trained weights that torchvision's authors offer as ``{name}``."
    return made
