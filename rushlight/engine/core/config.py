"""Every environment variable rushlight reads: once, typed, checked when the package is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields


def _flag(name: str, text: str) -> bool:
    if text.lower() in ("1", "true", "on", "yes"):
        return True
    if text.lower() in ("", "0", "false", "off", "no"):
        return False
    raise ValueError(f"{name}={text!r}: expected one of 1, 0, true, false, on, off, yes, no")


def _number(name: str, text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name}={text!r}: expected a whole number of at least 1")
    return int(text)


def _words(name: str, text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _path(name: str, text: str) -> str:
    if not os.path.exists(text):
        raise ValueError(f"{name}={text!r}: no such file or folder")
    return text


def _folder(name: str, text: str) -> str | None:
    """A folder that need not exist yet."""
    return text or None


def _said(name: str, text: str) -> bool:
    """That the variable is set, whatever it says."""
    return True


@dataclass
class Config:
    """The switches, with the defaults that hold when the environment says nothing.

    >>> from rushlight.engine.core.config import config
    >>> config.trace_limit >= 1
    True
    """

    eager: bool = False  #: RUSHLIGHT_EAGER: run every operation when it is written
    num_threads: int | None = None  #: RUSHLIGHT_NUM_THREADS (else OMP_NUM_THREADS, else all cores)
    onednn_library: str | None = None  #: RUSHLIGHT_ONEDNN: path of a libdnnl.so.3 to load
    onednn: bool = True  #: RUSHLIGHT_USE_ONEDNN: 0 keeps to the NumPy kernels
    trace_limit: int = 4096  #: RUSHLIGHT_TRACE_LIMIT: recorded values after which a trace is run
    compiler: bool = True  #: RUSHLIGHT_COMPILE: 0 keeps every program in the interpreter
    #: RUSHLIGHT_COMPILE_FROM: the run from which a program runs compiled
    compile_from: int | None = None
    passes_off: tuple[str, ...] = ()  #: RUSHLIGHT_PASSES_OFF: passes of the compiler to leave out
    cache: bool = True  #: RUSHLIGHT_CACHE: 0 keeps no machine code on disk
    cache_dir: str | None = None  #: RUSHLIGHT_CACHE_DIR: where to keep it
    cache_home: str | None = None  #: XDG_CACHE_HOME: where caches of all programs lie
    #: MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, GLIBC_TUNABLES: how freed memory is kept has
    #: been chosen
    heap_chosen: bool = False
    log: tuple[str, ...] = ()  #: RUSHLIGHT_LOG: artefacts to log, such as "flush,programs"


_VARIABLES: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "OMP_NUM_THREADS": ("num_threads", _number),
    "RUSHLIGHT_EAGER": ("eager", _flag),
    "RUSHLIGHT_NUM_THREADS": ("num_threads", _number),
    "RUSHLIGHT_ONEDNN": ("onednn_library", _path),
    "RUSHLIGHT_USE_ONEDNN": ("onednn", _flag),
    "RUSHLIGHT_TRACE_LIMIT": ("trace_limit", _number),
    "RUSHLIGHT_COMPILE": ("compiler", _flag),
    "RUSHLIGHT_COMPILE_FROM": ("compile_from", _number),
    "RUSHLIGHT_PASSES_OFF": ("passes_off", _words),
    "RUSHLIGHT_CACHE": ("cache", _flag),
    "RUSHLIGHT_CACHE_DIR": ("cache_dir", _folder),
    "XDG_CACHE_HOME": ("cache_home", _folder),
    "RUSHLIGHT_LOG": ("log", _words),
    "MALLOC_TRIM_THRESHOLD_": ("heap_chosen", _said),
    "MALLOC_MMAP_THRESHOLD_": ("heap_chosen", _said),
    "GLIBC_TUNABLES": ("heap_chosen", _said),
}


def read_environment(environment: dict[str, str] | None = None) -> Config:
    """The configuration that ``environment`` (the process's own by default) asks for."""
    source = os.environ if environment is None else environment
    config = Config()
    for name, (attribute, parse) in _VARIABLES.items():
        if name in source:
            setattr(config, attribute, parse(name, source[name]))
    unknown = [n for n in source if n.startswith("RUSHLIGHT_") and n not in _VARIABLES]
    if unknown:
        raise ValueError(
            f"unknown environment variable {unknown[0]}; known are: "
            + ", ".join(n for n in _VARIABLES if n.startswith("RUSHLIGHT_"))
        )
    return config


#: What launchers tell a process about its place among the others; names are torchrun's and MPI's.
LAUNCH_VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR",
    "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "PMI_FD", "PMI_RANK",
    "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "OMP_NUM_THREADS", "RUSHLIGHT_NUM_THREADS",
)  # fmt: skip


def launch_variables() -> dict[str, str]:
    """Those of ``LAUNCH_VARIABLES`` that are set now: programs may set them while they run."""
    return {name: os.environ[name] for name in LAUNCH_VARIABLES if name in os.environ}


def torch_home() -> str:
    """Where PyTorch's programs keep what they download, as the environment says it now."""
    caches = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(caches, "torch")))


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for a library that reads them while it starts; afterwards they are gone again."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The whole environment with these changes, for a child process."""
    return {**os.environ, **changes}


def describe() -> list[tuple[str, object]]:
    """Name and value of every switch, for ``rushlight info``."""
    return [(field.name, getattr(config, field.name)) for field in fields(Config)]


config = read_environment()
