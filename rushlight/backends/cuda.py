"""Switches of PyTorch's ``torch.backends.cuda``; remembered, without effect on a processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rushlight.backends.matmul_precision import (
    get_float32_matmul_precision,
    set_float32_matmul_precision,
)


class _Matmul:
    """The switches of matrix products on a GPU: ``torch.backends.cuda.matmul``.

    >>> import rushlight as torch
    >>> torch.backends.cuda.matmul.allow_tf32
    False
    """

    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 may be computed in TF32."""
        return get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        set_float32_matmul_precision("high" if allowed else "highest")


matmul = _Matmul()

_kernels = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Whether there is a backend for CUDA.

    >>> import rushlight as torch
    >>> torch.backends.cuda.is_built()
    False
    """
    return False


def flash_sdp_enabled() -> bool:
    """Whether attention may take the flash kernel."""
    return _kernels["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Let attention on a GPU take the flash kernel, or not."""
    _kernels["flash"] = bool(enabled)


def mem_efficient_sdp_enabled() -> bool:
    """Whether attention may take the memory-efficient kernel."""
    return _kernels["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Let attention on a GPU take the memory-efficient kernel, or not."""
    _kernels["mem_efficient"] = bool(enabled)


def math_sdp_enabled() -> bool:
    """Whether attention may be computed step by step."""
    return _kernels["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Let attention on a GPU be computed step by step, or not."""
    _kernels["math"] = bool(enabled)


def cudnn_sdp_enabled() -> bool:
    """Whether attention may take cuDNN's kernel."""
    return _kernels["cudnn"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Let attention on a GPU take cuDNN's kernel, or not."""
    _kernels["cudnn"] = bool(enabled)


@contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Choose the kernels of attention on a GPU for a ``with`` block.

    >>> import rushlight as torch
    >>> with torch.backends.cuda.sdp_kernel(enable_flash=False):
    ...     torch.backends.cuda.flash_sdp_enabled()
    False
    """
    before = dict(_kernels)
    _kernels.update(
        flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient,
        cudnn=enable_cudnn,
    )  # fmt: skip
    try:
        yield
    finally:
        _kernels.update(before)
