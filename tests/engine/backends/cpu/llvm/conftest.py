"""These tests make their code anew and leave the user's cache alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rushlight.engine.backends.cpu import threads
from rushlight.engine.backends.cpu.llvm import jit, store


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine code from disk, and none to it."""
    monkeypatch.setattr(store, "shared", lambda: store.Store(None))
    jit.target()  # otherwise the first test that has a cache keeps it there


@pytest.fixture
def two_threads() -> Iterator[None]:
    """At least two threads, whatever the machine has."""
    before = threads.limit()
    threads.set_limit(max(2, before))
    yield
    threads.set_limit(before)
