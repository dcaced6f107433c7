"""What holds for every test: one thread for each library, and no setting left behind."""

from __future__ import annotations

import os
import tempfile

# Before NumPy, oneDNN or PyTorch load: test processes run side by side, each on one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if "RUSHLIGHT_CACHE_DIR" not in os.environ:  # no machine code from an earlier run
    _cache = tempfile.TemporaryDirectory(prefix="rushlight-tests-")
    os.environ["RUSHLIGHT_CACHE_DIR"] = _cache.name

from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight.engine.core.config import config


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """A test that changes a global setting puts it back, or the tests after it would suffer."""
    before = torch.get_default_dtype(), torch.is_grad_enabled()
    yield
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is compiled, for tests that compare to the last bit whatever came before."""
    monkeypatch.setattr(config, "compiler", False)
