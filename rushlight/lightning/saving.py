"""Making a module or a data module from a checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from rushlight._serialization import load
from rushlight.nn.modules.module import Module

#: The keys under which a checkpoint keeps the arguments of the constructor.
HPARAMS_KEY = "hyper_parameters"
HPARAMS_NAME = "hparams_name"
DATA_HPARAMS_KEY = "datamodule_hyper_parameters"
DATA_HPARAMS_NAME = "datamodule_hparams_name"

T = TypeVar("T", bound="LoadableMixin")


class LoadableMixin:
    """Gives a class ``load_from_checkpoint``."""

    @classmethod
    def load_from_checkpoint(
        cls: type[T], checkpoint_path: Any, map_location: Any = None, hparams_file: Any = None,
        strict: bool | None = None, weights_only: bool | None = None, **kwargs: Any,
    ) -> T:  # fmt: skip
        """An object as it was when the checkpoint was written.

        Args:
            checkpoint_path: a path or a binary file object.
            map_location: where tensors go.
            strict: whether the parameters must be exactly those of the checkpoint (default: yes).
            weights_only: ``False`` loads more than plain data; only for files you trust.
            kwargs: arguments of the constructor that the checkpoint does not hold, or that are to
                be others.

        Raises:
            TypeError: the constructor needs arguments that are neither in the file nor given.
        """
        checkpoint = load(checkpoint_path, map_location=map_location, weights_only=weights_only)
        made = cls(**_arguments(cls, checkpoint, kwargs))
        hook = getattr(made, "on_load_checkpoint", None)
        if hook is not None:
            hook(checkpoint)
        if isinstance(made, Module):
            made.load_state_dict(checkpoint["state_dict"], strict=strict is not False)
        elif type(made).__qualname__ in checkpoint:
            made.load_state_dict(  # type: ignore[attr-defined]
                checkpoint[type(made).__qualname__]
            )
        return made


def _arguments(
    cls: type, checkpoint: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What the constructor is called with: what the checkpoint holds, and what is given."""
    module = issubclass(cls, Module)
    saved = dict(checkpoint.get(HPARAMS_KEY if module else DATA_HPARAMS_KEY, {}))
    name = checkpoint.get(HPARAMS_NAME if module else DATA_HPARAMS_NAME)
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    every = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if name and name != "kwargs" and name in parameters:
        overridden = {key: value for key, value in given.items() if key not in parameters}
        rest = {key: value for key, value in given.items() if key in parameters}
        return {name: {**saved, **overridden}, **rest}
    found = {**saved, **given}
    return found if every else {k: v for k, v in found.items() if k in parameters or k in given}
