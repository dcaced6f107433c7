"""``torch.accelerator`` on a machine without one, as PyTorch has it."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import accelerator

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def test_there_is_none() -> None:
    assert not accelerator.is_available()
    assert accelerator.device_count() == 0
    assert accelerator.current_accelerator() is None
    with accelerator.device_index(None):
        assert not accelerator.is_available()


@pytest.mark.parametrize(
    "name",
    [
        "current_device_index", "empty_cache", "max_memory_allocated", "memory_allocated",
        "memory_reserved", "synchronize",
    ],
)  # fmt: skip
def test_nothing_can_be_asked_of_it(name: str) -> None:
    with pytest.raises(RuntimeError, match="when none is available"):
        getattr(accelerator, name)()
    oracle = pytest.importorskip("torch", reason="the oracle extra is not installed")
    if not oracle.accelerator.is_available():
        with pytest.raises(RuntimeError, match="when none is available"):
            getattr(oracle.accelerator, name)()


def test_nor_can_it_be_chosen() -> None:
    with pytest.raises(RuntimeError, match="when none is available"):
        accelerator.set_device_index(0)
    with pytest.raises(RuntimeError, match="when none is available"), accelerator.device_index(0):
        pass
