"""What goes wrong between processes, under PyTorch's names."""

from __future__ import annotations


class DistError(RuntimeError):
    """Something went wrong in the distributed part."""


class DistBackendError(DistError):
    """Communication failed: a rank is gone, or did not answer in time."""


class DistNetworkError(DistError):
    """The meeting point could not be reached."""


class DistStoreError(DistError):
    """Not all ranks met in time."""
