"""PyTorch's CPU generator beside ours: the same calls must give the same bytes and state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Engine

#: Block borders of the generator and of the normal transform, and sizes in between.
SIZES = (0, 1, 2, 3, 15, 16, 17, 31, 100, 12345)

#: Ordinary seeds, one that needs 64 bits, one negative.
SEEDS = (0, 42, 2**40 + 1, -7)


def load_torch() -> Any:
    """PyTorch where it is installed and runs the vector kernels that parity is defined by."""
    torch = pytest.importorskip("torch", reason="the extra 'oracle' (torch) is not installed")
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("PyTorch's kernels without AVX2 round differently")
    return torch


def content(values: Any) -> tuple[tuple[int, ...], bytes]:
    """Shape and bytes of an array or of a tensor."""
    if isinstance(values, np.ndarray):
        return values.shape, np.ascontiguousarray(values).tobytes()
    flat = values.detach().contiguous().reshape(-1)
    # NumPy cannot take PyTorch's bfloat16 as such; its bytes it can.
    raw = flat.view(load_torch().uint8) if flat.numel() else flat.float()
    return tuple(values.shape), raw.numpy().tobytes()


class Twins:
    """An engine and PyTorch's default generator, started with one seed."""

    def __init__(self, seed: int) -> None:
        self.torch = load_torch()
        self.engine = Engine(seed)
        self.torch.manual_seed(seed)

    def named(self, dtype: types.dtype) -> Any:
        """PyTorch's type of the same name."""
        return getattr(self.torch, dtype.name)

    def empty(self, size: int | tuple[int, ...], dtype: types.dtype) -> Any:
        """PyTorch's tensor to be filled."""
        return self.torch.empty(size, dtype=self.named(dtype))

    def agree(self, ours: np.ndarray, theirs: Any) -> None:
        """Check shape and bytes of the results, then the whole state of the generators."""
        assert content(ours) == content(theirs)
        self.agree_on_state()

    def agree_on_state(self) -> None:
        """Check that both generators stand at the same place, cached normal values included."""
        state = self.torch.get_rng_state().numpy()
        assert self.engine.get_state().tobytes() == state.tobytes()
