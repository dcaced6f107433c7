"""The profiler under its older name: ``torch.autograd.profiler``."""

from __future__ import annotations

from rushlight.profiler.collector import record_function as record_function
from rushlight.profiler.events import (
    EventList as EventList,
    FunctionEvent as FunctionEvent,
    FunctionEventAvg as FunctionEventAvg,
)
from rushlight.profiler.legacy import (
    emit_nvtx as emit_nvtx,
    kineto_available as kineto_available,
    profile as profile,
)
