"""Automatic differentiation: ``torch.autograd``."""

from importlib import import_module as _import_module
from typing import Any as _Any

from rushlight.autograd.anomaly_mode import (
    detect_anomaly as detect_anomaly,
    is_anomaly_enabled as is_anomaly_enabled,
    set_detect_anomaly as set_detect_anomaly,
)
from rushlight.autograd.function import Function as Function
from rushlight.autograd.grad_mode import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from rushlight.autograd.gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from rushlight.autograd.variable import Variable as Variable
from rushlight.engine.trace.backward import backward as backward, grad as grad


def __getattr__(name: str) -> _Any:
    if name == "profiler":  # imported when it is first used
        return _import_module("rushlight.autograd.profiler")
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
