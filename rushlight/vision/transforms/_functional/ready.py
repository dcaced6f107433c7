"""Tensors whose numbers are known already: NumPy changes an image at once for less than the cost of
recording an operation. Pending and differentiable tensors take the recorded operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array as tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.core.watch import watch


def ready(tensor: Any) -> np.ndarray | None:
    """The numbers of a tensor, not to be written to; ``None`` where they are to be recorded.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms._functional.ready import ready
    >>> ready(torch.ones(2)), ready(torch.ones(2) + 1)
    (array([1., 1.], dtype=float32), None)
    """
    if type(tensor) is not Tensor or watch.read is not None or tensor.requires_grad:
        return None
    buffer = tensor._read().buffer
    return buffer if isinstance(buffer, np.ndarray) else None


def plain(tensor: Any) -> np.ndarray | None:
    """``ready`` where the numbers lie in row-major order, as those of most images do."""
    array = ready(tensor)
    return array if array is not None and array.flags.c_contiguous else None
