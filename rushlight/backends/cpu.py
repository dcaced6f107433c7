"""What PyTorch's ``torch.backends.cpu`` tells of the processor."""

from __future__ import annotations

from pathlib import Path


def get_cpu_capability() -> str:
    """The widest vector instructions of the processor, in PyTorch's words.

    Returns:
        ``"AVX512"``, ``"AVX2"`` or ``"DEFAULT"``.

    >>> import rushlight as torch
    >>> torch.backends.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
    True
    """
    listed = Path("/proc/cpuinfo")
    flags = set(listed.read_text().split()) if listed.exists() else set()
    if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= flags:
        return "AVX512"
    return "AVX2" if "avx2" in flags else "DEFAULT"
