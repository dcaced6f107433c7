"""In which type a module computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import bfloat16, dtype, float64
from rushlight.lightning.utilities.exceptions import MisconfigurationException

_SAME = {"32": "32-true", "64": "64-true", "double": "64-true", "bf16": "bf16-mixed",
         "16": "16-mixed"}  # fmt: skip
NAMES = ("32-true", "64-true", "bf16-true", "bf16-mixed")


class Precision:
    """The trainer's ``precision``.

    Args:
        precision: ``32-true``, ``64-true``, ``bf16-true`` or ``bf16-mixed``, or 32, 64, "bf16".

    Attributes:
        name: the full name.
        context: makes the context of a forward pass.

    >>> Precision(32).name
    '32-true'
    """

    def __init__(self, precision: Any = "32-true") -> None:
        found = _SAME.get(str(precision), str(precision))
        if found.startswith("16"):
            raise MisconfigurationException(
                f"precision={precision!r}: half precision needs a GPU; on processors use "
                "'bf16-mixed', 'bf16-true' or '32-true'"
            )
        if found not in NAMES:
            raise ValueError(
                f"Precision {precision!r} is invalid. Allowed precision values: {list(NAMES)}"
            )
        self.name = found
        self._type: dtype | None = {"64-true": float64, "bf16-true": bfloat16}.get(found)
        self.context: Callable[[], AbstractContextManager[Any]] = nullcontext
        if found == "bf16-mixed":
            self.context = _autocast()

    def convert(self, module: Any) -> None:
        """Bring a module's parameters into the type."""
        if self._type is not None:
            module.to(self._type)

    @property
    def converts_batches(self) -> bool:
        """Whether batches are brought into another type."""
        return self._type is not None

    def convert_batch(self, batch: Any) -> Any:
        """A batch whose floating-point tensors have the type."""
        if isinstance(batch, Tensor):
            return batch.to(self._type) if batch.is_floating_point() else batch
        if isinstance(batch, Mapping):
            return type(batch)(  # type: ignore[call-arg]
                {key: self.convert_batch(value) for key, value in batch.items()}
            )
        if isinstance(batch, tuple) and hasattr(batch, "_fields"):
            return type(batch)(*map(self.convert_batch, batch))
        if isinstance(batch, (list, tuple)):
            return type(batch)(map(self.convert_batch, batch))
        return batch


def _autocast() -> Callable[[], AbstractContextManager[Any]]:
    if find_spec("rushlight.amp") is None:
        raise MisconfigurationException(
            "precision='bf16-mixed' needs autocast, which this version of rushlight does not have; "
            "use 'bf16-true' or '32-true'"
        )
    autocast = import_module("rushlight.amp").autocast
    return lambda: autocast("cpu", dtype=bfloat16)  # type: ignore[no-any-return]
