"""``torch.autograd.profiler``: the older profiler, as a context manager that holds its spans."""

from __future__ import annotations

from typing import Any

from rushlight.profiler.events import EventList, FunctionEventAvg
from rushlight.profiler.profiler import profile as _Profile


class profile:
    """Notes how long operations take inside a ``with`` block.

    Args:
        enabled: do nothing if false.
        record_shapes: note the shapes of inputs.
        profile_memory: note the size of results.
        with_stack: note the user's lines.

    See https://pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.profile.

    >>> import rushlight as torch
    >>> with torch.autograd.profiler.profile() as prof:
    ...     _ = (torch.ones(3) + 1).tolist()
    >>> [row.count for row in prof.key_averages() if row.key == "aten::add"]
    [1]
    """

    def __init__(
        self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None,
        record_shapes: bool = False, with_flops: bool = False, profile_memory: bool = False,
        with_stack: bool = False, with_modules: bool = False, use_kineto: bool = False,
        use_cpu: bool = True, experimental_config: Any = None, acc_events: bool = False,
        custom_trace_id_callback: Any = None,
    ) -> None:  # fmt: skip
        self.enabled = enabled
        self._profile = _Profile(
            record_shapes=record_shapes, profile_memory=profile_memory, with_stack=with_stack
        )
        self.function_events: EventList | None = None

    def __enter__(self) -> profile:
        if self.enabled:
            self._profile.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self._profile.stop()
            self.function_events = self._profile.events()

    def _finished(self) -> EventList:
        if self.function_events is None:
            raise AssertionError("Profiler didn't finish running")
        return self.function_events

    def __str__(self) -> str:
        if self.function_events is None:
            return "<unfinished profiler.profile>"
        return str(self.function_events)

    __repr__ = __str__

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The spans as a table, see ``EventList.table``."""
        return self._finished().table(*args, **kwargs)

    def export_chrome_trace(self, path: str) -> None:
        """Write the spans as a trace for ``chrome://tracing``."""
        self._finished()
        self._profile.export_chrome_trace(path)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **_: Any
    ) -> EventList:
        """The sums of all spans of each name."""
        return self._finished().key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self) -> FunctionEventAvg:
        """The sum of everything."""
        return self._finished().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of everything, in microseconds."""
        return self._finished().self_cpu_time_total


class emit_nvtx:
    """Does nothing: there are no marks for NVIDIA's tools without a GPU.

    >>> with emit_nvtx():
    ...     pass
    """

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled
        self.record_shapes = record_shapes

    def __enter__(self) -> emit_nvtx:
        return self

    def __exit__(self, *exception: object) -> None:
        return None


def kineto_available() -> bool:
    """Whether PyTorch's own tracing library is there: no.

    >>> kineto_available()
    False
    """
    return False
