"""Freed memory stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rushlight.engine.backends.cpu import heap
from rushlight.engine.core.config import config, read_environment

CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

FAULTS = """
import resource, rushlight as torch
def step():
    for _ in range(4):
        torch.ones(1 << 19).numpy()  # 2 MB, freed at once
for _ in range(5): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(**environment: str) -> int:
    clean = {k: v for k, v in os.environ.items() if k not in CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True,
        env={**clean, **environment},
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only where the C library is GNU's")
def test_large_arrays_take_the_memory_of_freed_ones() -> None:
    assert _faults() < 2000  # a step that maps its arrays anew has 2048


@pytest.mark.skipif(sys.platform != "linux", reason="only where the C library is GNU's")
def test_the_users_choice_stays() -> None:
    assert _faults(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536") > 10_000


def test_a_choice_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(read_environment({name: "1"}).heap_chosen for name in CHOICES)
    monkeypatch.setattr(config, "heap_chosen", True)
    assert not heap.keep_freed()
