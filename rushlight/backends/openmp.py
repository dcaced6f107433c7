"""What PyTorch's ``torch.backends.openmp`` answers: it is not used."""

from __future__ import annotations


def is_available() -> bool:
    """Whether OpenMP is used: no.

    >>> import rushlight as torch
    >>> torch.backends.openmp.is_available()
    False
    """
    return False
