"""The warning of the older names of mixed precision."""

from __future__ import annotations

import warnings


def warn_older_name(device: str, name: str) -> None:
    """Say, for the line that called our caller, which name has taken its place.

    Args:
        device: ``"cpu"`` or ``"cuda"``, in whose module the older name stands.
        name: the name, the same in both.
    """
    warnings.warn(
        f"`torch.{device}.amp.{name}(args...)` is deprecated. Please use "
        f"`torch.amp.{name}('{device}', args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )
