"""These tests make their code anew and leave the user's cache alone."""

from __future__ import annotations

import pytest

from rushlight.engine.backends.cpu.llvm import store


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine code from disk, and none to it."""
    monkeypatch.setattr(store, "shared", lambda: store.Store(None))
