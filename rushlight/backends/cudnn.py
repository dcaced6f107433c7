"""Switches of PyTorch's ``torch.backends.cudnn``; accepted, without effect on a processor."""

from __future__ import annotations

benchmark = False
deterministic = False
enabled = True
allow_tf32 = True


def is_available() -> bool:
    """Whether cuDNN can be used.

    >>> import rushlight as torch
    >>> torch.backends.cudnn.is_available()
    False
    """
    return False
