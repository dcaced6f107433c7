"""Reads back what a writer has written, with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event


def events(folder: Path) -> list[Any]:
    """The events of all files of a folder, in order, without what opens a file."""
    listed = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        read = [Event.FromString(raw) for raw in RawEventFileLoader(str(file)).Load()]
        assert read[0].file_version == "brain.Event:2"
        listed += read[1:]
    return listed


def values(folder: Path) -> list[Any]:
    """The summary values of all events of a folder."""
    return [value for event in events(folder) for value in event.summary.value]


def accumulated(folder: Path) -> EventAccumulator:
    """All that TensorBoard itself knows of a run."""
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    read.Reload()
    return read


def runs(folder: Path) -> list[str]:
    """The folders with event files, below a folder."""
    files = folder.rglob("events.out.tfevents.*")
    return sorted({file.parent.relative_to(folder).as_posix() for file in files})
