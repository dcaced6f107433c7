"""What PyTorch's ``torch.backends.mps`` answers without a Metal GPU."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can be put on a Metal GPU.

    >>> import rushlight as torch
    >>> torch.backends.mps.is_available()
    False
    """
    return False


def is_built() -> bool:
    """Whether there is a backend for Metal."""
    return False
