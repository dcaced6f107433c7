"""Hyperparameters: the arguments of a constructor, kept for the logger and the checkpoint."""

from __future__ import annotations

import copy
import inspect
import warnings
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import FrameType
from typing import Any

import numpy as np

from rushlight._tensor import Tensor
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import dtype
from rushlight.nn.modules.module import Module


class AttributeDict(dict[str, Any]):
    """A dictionary whose entries are attributes too.

    >>> AttributeDict(lr=0.1).lr
    0.1
    """

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError as missing:
            raise AttributeError(f"Missing attribute {missing}") from missing

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __repr__(self) -> str:
        width = max((len(key) for key in self), default=0) + 1
        lines = [f'"{key}":{" " * (width - len(key))}{value}' for key, value in self.items()]
        return "\n".join(lines)


class HyperparametersMixin:
    """Gives a class ``save_hyperparameters`` and ``hparams``."""

    def save_hyperparameters(
        self, *args: Any, ignore: Any = None, frame: FrameType | None = None, logger: bool = True
    ) -> None:
        """Keep the arguments of the constructor from which this is called.

        Args:
            args: names of arguments to keep (default: all of them), or one object that holds them.
            ignore: names of arguments to leave out.
            frame: the constructor's frame; by default the caller's.
            logger: whether the loggers get them.

        >>> from rushlight.lightning import LightningModule
        >>> class Net(LightningModule):
        ...     def __init__(self, width=8, lr=0.1):
        ...         super().__init__()
        ...         self.save_hyperparameters(ignore="lr")
        >>> Net(width=3).hparams
        "width": 3
        """
        self._log_hyperparams = logger
        if frame is None:
            current = inspect.currentframe()
            assert current is not None
            assert current.f_back is not None
            frame = current.f_back
        given = constructor_arguments(frame)
        ignored = {ignore} if isinstance(ignore, str) else set(ignore or ())
        if len(args) == 1 and not isinstance(args[0], str):
            names = [key for key, value in given.items() if value is args[0]]
            self._hparams_name = names[0] if names else None
            found = _plain_mapping(args[0])
        else:
            self._hparams_name = "kwargs"
            found = {name: given[name] for name in args} if args else given
        kept = {key: value for key, value in found.items() if key not in ignored}
        for key, value in kept.items():
            if isinstance(value, Module):
                warnings.warn(
                    f"Attribute '{key}' is an instance of `nn.Module` and is already saved during "
                    "checkpointing. It is recommended to ignore them using "
                    f"`self.save_hyperparameters(ignore=['{key}'])`.",
                    stacklevel=2,
                )
        own = self.__dict__.setdefault("_hparams", AttributeDict())
        own.update(kept)
        kinds = (Tensor, Module)  # they may be large, and are not changed by anybody
        self._hparams_initial = AttributeDict(
            {k: v if isinstance(v, kinds) else copy.deepcopy(v) for k, v in own.items()}
        )

    @property
    def hparams(self) -> AttributeDict:
        """What ``save_hyperparameters`` has kept; may be changed."""
        return self.__dict__.setdefault("_hparams", AttributeDict())  # type: ignore[no-any-return]

    @property
    def hparams_initial(self) -> AttributeDict:
        """What ``save_hyperparameters`` has kept, as it was then."""
        found: AttributeDict = self.__dict__.get("_hparams_initial", AttributeDict())
        return AttributeDict(found)


def constructor_arguments(frame: FrameType) -> dict[str, Any]:
    """The arguments of the constructor running in ``frame`` and of those that called it.

    A subclass that calls ``super().__init__()`` adds its own; the outermost has the last word.
    """
    found: dict[str, Any] = {}
    owner = frame.f_locals.get("self")
    current: FrameType | None = frame
    while current is not None and current.f_code.co_name == "__init__":
        names = inspect.getargvalues(current)
        first = names.args[0] if names.args else None
        if first is None or (owner is not None and names.locals.get(first) is not owner):
            break
        for name in names.args[1:]:
            found[name] = names.locals[name]
        if names.keywords is not None:
            found.update(names.locals[names.keywords])
        current = current.f_back
    return found


def _plain_mapping(held: Any) -> dict[str, Any]:
    if isinstance(held, Namespace):
        return dict(vars(held))
    if isinstance(held, Mapping):
        return {str(key): value for key, value in held.items()}
    if is_dataclass(held) and not isinstance(held, type):
        return {field.name: getattr(held, field.name) for field in fields(held)}
    raise ValueError(f"Unsupported config type of {type(held)}.")


_PLAIN = (type(None), bool, int, float, complex, str, bytes, Tensor, dtype, device)


def is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold a value so that loading it runs no code.

    >>> is_plain({"lr": [0.1, 0.2]}), is_plain(print)
    (True, False)
    """
    if type(value) in (list, tuple, set):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return type(value) in _PLAIN or isinstance(value, Tensor)


def to_plain(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that a checkpoint can hold; a warning names those left out."""
    kept, left = {}, []
    for key, value in hparams.items():
        if isinstance(value, (np.generic, PurePath)):
            value = value.item() if isinstance(value, np.generic) else str(value)
        if is_plain(value) and not isinstance(value, Module):
            kept[key] = dict(value) if isinstance(value, Mapping) else value
        else:
            left.append(key)
    if left:
        warnings.warn(
            f"the hyperparameters {', '.join(left)} are more than plain data and are not written "
            "to the checkpoint; give them to load_from_checkpoint() again",
            stacklevel=2,
        )
    return kept
