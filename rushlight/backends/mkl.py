"""What PyTorch's ``torch.backends.mkl`` answers: it is not used."""

from __future__ import annotations


def is_available() -> bool:
    """Whether Intel's MKL is used: no.

    >>> import rushlight as torch
    >>> torch.backends.mkl.is_available()
    False
    """
    return False
