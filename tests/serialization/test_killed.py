"""A save that is killed leaves the old file or the new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import rushlight as torch
from tests.serialization import kill


def test_a_few_moments(tmp_path: Path) -> None:
    assert sum(kill.kill(tmp_path, times=3, seed=1).values()) == 3


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_nothing_takes_the_name_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.pt"
    torch.save([1], path)
    steps: list[str] = []

    def noted(name: str):
        true = getattr(os, name)

        def call(*arguments):
            steps.append(name)
            if name == step and name == "fsync" and len(steps) == 1:
                assert torch.load(path) == [1]
            return true(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    torch.save([2], path)
    assert steps == ["fsync", "replace", "fsync"]
    assert torch.load(path) == [2]


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    torch.save([1], path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        torch.save([2], path)
    assert torch.load(path) == [1]
    assert list(tmp_path.iterdir()) == [path]
