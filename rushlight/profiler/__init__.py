"""Where the time goes: ``torch.profiler``."""

from rushlight.profiler.collector import record_function as record_function
from rushlight.profiler.legacy import kineto_available as kineto_available
from rushlight.profiler.profiler import (
    ProfilerAction as ProfilerAction,
    ProfilerActivity as ProfilerActivity,
    profile as profile,
    schedule as schedule,
    supported_activities as supported_activities,
    tensorboard_trace_handler as tensorboard_trace_handler,
)
