"""oneDNN through its C interface: finding the library, loading it at first use, its constants.

Source of every constant and signature: https://uxlfoundation.github.io/oneDNN (C API, version 3).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_char, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from pathlib import Path
from typing import Any

from rushlight.engine.backends.cpu import threads
from rushlight.engine.core.config import config

#: Distributions on PyPI that hold a build of oneDNN for GNU OpenMP.
DISTRIBUTIONS = ("onednn-cpu-gomp", "onednn")
FILE_NAME = "libdnnl.so.3"

MAX_DIMENSIONS = 12
Dimensions = c_int64 * MAX_DIMENSIONS

# Element types.
FLOAT16, BFLOAT16, FLOAT32, INT32, UINT8 = 1, 2, 3, 4, 6

# What a primitive computes.
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD = 64, 96, 128

# Algorithms.
CONVOLUTION_DIRECT, DECONVOLUTION_DIRECT = 0x1, 0xA
POOLING_MAX, POOLING_AVERAGE_INCLUDE, POOLING_AVERAGE_EXCLUDE = 0x1FF, 0x2FF, 0x3FF
SOFTMAX, LOG_SOFTMAX = 0x30000, 0x30001

# What can be done to the elements of a result, or with those of a second array.
RELU, TANH, ELU, LINEAR, LOGISTIC = 0x20, 0x21, 0x22, 0x26, 0x29
GELU_TANH, SWISH, CLIP, GELU_ERF, HARDSWISH = 0x2B, 0x2C, 0x2E, 0x31, 0x34
BINARY_ADD, BINARY_MUL = 0x1FFF0, 0x1FFF1

# Arguments of a primitive.
SRC, DST, WEIGHTS, BIAS = 1, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT = 49, 50, 51, 52
WORKSPACE, SCRATCHPAD = 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS = 129, 145, 161, 169
SECOND_SOURCE, POST_OPERATION = 2, 32768  # the second operand of post-operation k: k + 1 times it

# Questions to a memory descriptor.
QUERY_STRIDES, QUERY_RANK, QUERY_SHAPE, QUERY_PADDED = 14, 256, 257, 260
QUERY_BLOCKS, QUERY_BLOCK_SIZES, QUERY_BLOCK_AXES = 263, 264, 265

# Questions to a primitive's description.
QUERY_IMPLEMENTATION, QUERY_WORKSPACE, QUERY_SCRATCHPAD, QUERY_ARGUMENT = 8, 134, 135, 255

# Flags of the normalisations.
USE_SCALE, USE_SHIFT = 2, 4

FORMAT_ANY = 1
SCRATCHPAD_FROM_USER = 1
ENGINE_CPU = 1
STREAM_IN_ORDER = 1
RUNTIME_OPENMP = 2


STATUS = (
    "success", "out of memory", "invalid arguments", "unimplemented", "last implementation reached",
    "runtime error", "not required", "invalid graph", "invalid graph operation", "invalid shape",
    "invalid data type",
)  # fmt: skip


class OneDNNError(RuntimeError):
    """oneDNN refused a call."""

    def __init__(self, function: str, status: int) -> None:
        meaning = STATUS[status] if 0 <= status < len(STATUS) else "unknown"
        super().__init__(f"oneDNN: {function} failed with status {status} ({meaning})")


class Unsupported(RuntimeError):
    """oneDNN has no kernel, or no fast one, for these shapes and types on this processor."""


class Argument(ctypes.Structure):
    """One argument of an execution: which one, and the memory object."""

    _fields_ = [("kind", c_int), ("memory", c_void_p)]


class Version(ctypes.Structure):
    """What ``dnnl_version`` points to."""

    _fields_ = [
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    ]


_OUT = POINTER(c_void_p)
_DIMS = POINTER(c_int64)
_WINDOW = [_DIMS] * 4  # strides, dilations, padding before, padding after

_CONVOLUTION: dict[str, list[Any]] = {
    "forward": [_OUT, c_void_p, c_int, c_int, *[c_void_p] * 4, *_WINDOW, c_void_p],
    "backward_data": [_OUT, c_void_p, c_int, *[c_void_p] * 3, *_WINDOW, c_void_p, c_void_p],
    "backward_weights": [_OUT, c_void_p, c_int, *[c_void_p] * 4, *_WINDOW, c_void_p, c_void_p],
}

# Arguments of the functions we call, without the "dnnl_" in front; each returns a status.
_SIGNATURES: dict[str, list[Any]] = {
    "engine_create": [_OUT, c_int, c_size_t],
    "stream_create": [_OUT, c_void_p, c_uint],
    "memory_desc_create_with_strides": [_OUT, c_int, _DIMS, c_int, _DIMS],
    "memory_desc_create_with_tag": [_OUT, c_int, _DIMS, c_int, c_int],
    "memory_desc_destroy": [c_void_p],
    "memory_create": [_OUT, c_void_p, c_void_p, c_void_p],
    "memory_set_data_handle": [c_void_p, c_void_p],
    "memory_destroy": [c_void_p],
    "primitive_attr_create": [_OUT],
    "primitive_attr_set_scratchpad_mode": [c_void_p, c_int],
    "primitive_attr_set_post_ops": [c_void_p, c_void_p],
    "primitive_attr_destroy": [c_void_p],
    "post_ops_create": [_OUT],
    "post_ops_append_eltwise": [c_void_p, c_int, c_float, c_float],
    "post_ops_append_sum": [c_void_p, c_float, c_int, c_int],
    "post_ops_append_binary": [c_void_p, c_int, c_void_p],
    "post_ops_destroy": [c_void_p],
    "memory_desc_query": [c_void_p, c_int, c_void_p],
    "primitive_desc_next_impl": [c_void_p],
    "primitive_desc_query": [c_void_p, c_int, c_int, c_void_p],
    "primitive_desc_destroy": [c_void_p],
    "primitive_create": [_OUT, c_void_p],
    "primitive_execute": [c_void_p, c_void_p, c_int, c_void_p],
    "primitive_destroy": [c_void_p],
    "reorder_primitive_desc_create": [_OUT, *[c_void_p] * 5],
    **{
        f"{kind}_{direction}_primitive_desc_create": arguments
        for kind in ("convolution", "deconvolution")
        for direction, arguments in _CONVOLUTION.items()
    },
    "sgemm": (
        [c_char, c_char, *[c_int64] * 3, c_float, c_void_p, c_int64, c_void_p, c_int64, c_float]
        + [c_void_p, c_int64]
    ),
    "matmul_primitive_desc_create": [_OUT, c_void_p, *[c_void_p] * 5],
    "pooling_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, c_void_p, c_void_p, *[_DIMS] * 5, c_void_p]
    ),
    "layer_normalization_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, c_float, c_uint, c_void_p]
    ),
    "eltwise_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, c_void_p, c_void_p, c_float, c_float, c_void_p]
    ),
    "eltwise_backward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, *[c_void_p] * 3, c_float, c_float, c_void_p, c_void_p]
    ),
    "softmax_forward_primitive_desc_create": (
        [_OUT, c_void_p, c_int, c_int, c_void_p, c_void_p, c_int, c_void_p]
    ),
}


class Library:
    """oneDNN, loaded: its functions with their types, one engine and one in-order stream."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._releasing = ctypes.CDLL(path)
        self._keeping = ctypes.PyDLL(path)
        self._brief: dict[str, Any] = {}
        self._long: dict[str, Any] = {}
        for source in (self._releasing, self._keeping):
            _declare(source)
        version = self._keeping.dnnl_version().contents
        self.version = (version.major, version.minor, version.patch)
        if version.major != 3:
            raise OSError(f"{path} is oneDNN {version.major}.{version.minor}; 3.x is needed")
        self.engine = self.create("engine_create", ENGINE_CPU, 0)
        self.stream = self.create("stream_create", self.engine, STREAM_IN_ORDER)
        self.attributes = self.create("primitive_attr_create")
        self.call("primitive_attr_set_scratchpad_mode", self.attributes, SCRATCHPAD_FROM_USER)
        if version.cpu_runtime != RUNTIME_OPENMP:
            raise OSError(f"{path} was not built for OpenMP")
        # Looked up through oneDNN itself, so that it is the runtime oneDNN is linked with.
        self.max_threads = self._keeping.omp_get_max_threads
        self.set_threads = self._keeping.omp_set_num_threads
        self.set_threads.argtypes, self.set_threads.restype = [c_int], None

    def function(self, name: str, brief: bool = False) -> Any:
        """The C function ``dnnl_<name>``; if ``brief``, other Python threads wait meanwhile."""
        functions = self._brief if brief else self._long
        found = functions.get(name)
        if found is None:
            found = getattr(self._keeping if brief else self._releasing, f"dnnl_{name}")
            functions[name] = found
        return found

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status.

        Raises:
            OneDNNError: oneDNN refused, for example since it has no such kernel here.
        """
        status = self.function(name)(*arguments)
        if status:
            raise OneDNNError(f"dnnl_{name}", status)

    def create(self, name: str, *arguments: Any) -> int:
        """Call a function that makes an object; the object's address."""
        made = c_void_p()
        self.call(name, ctypes.byref(made), *arguments)
        return made.value or 0


def _declare(library: ctypes.CDLL) -> None:
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, f"dnnl_{name}")
        function.argtypes, function.restype = arguments, c_int
    for name, arguments, result in (
        ("version", [], POINTER(Version)),
        ("primitive_desc_query_md", [c_void_p, c_int, c_int], c_void_p),
        ("memory_desc_get_size", [c_void_p], c_size_t),
        ("memory_desc_equal", [c_void_p, c_void_p], c_int),
    ):
        function = getattr(library, f"dnnl_{name}")
        function.argtypes, function.restype = arguments, result


_library: Library | None = None
_reason: str | None = None


def candidates() -> Iterator[str]:
    """Paths that may hold oneDNN, in the order in which they are tried."""
    if config.onednn_library is not None:
        yield config.onednn_library
        return
    beside = Path(sys.prefix, "lib", FILE_NAME)
    if beside.exists():  # where pip puts it; asking for the packages' files takes 2 ms more
        yield str(beside)
    import importlib.metadata  # with email and csv, 10 ms that are seldom needed

    for name in DISTRIBUTIONS:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        yield from (str(Path(file.locate()).resolve()) for file in files if file.name == FILE_NAME)
    system = ctypes.util.find_library("dnnl")
    if system is not None:
        yield system


def _load() -> None:
    """Load the first library that works, or write down why none does."""
    global _library, _reason
    if not config.onednn:
        _reason = "switched off by RUSHLIGHT_USE_ONEDNN=0"
        return
    threads.runtime()
    failures: list[str] = []
    for path in candidates():
        try:
            _library = Library(path)
            return
        except (OSError, AttributeError, OneDNNError) as error:
            failures.append(f"{path}: {error}")
    if not failures:
        _reason = "no libdnnl.so.3 found; install it with: pip install onednn-cpu-gomp"
    else:
        _reason = "; ".join(failures)
        if "libgomp" in _reason:
            _reason += "; install GNU OpenMP, for example with: apt-get install libgomp1"


def available() -> bool:
    """Whether oneDNN can be used; loads it at the first call.

    >>> from rushlight.engine.backends.cpu import onednn
    >>> onednn.available() or onednn.reason() is not None
    True
    """
    if _library is None and _reason is None:
        _load()
    return _library is not None


def reason() -> str | None:
    """Why oneDNN cannot be used, or ``None`` where it can."""
    available()
    return _reason


def library() -> Library:
    """The loaded library.

    Raises:
        RuntimeError: there is none; the message says why.
    """
    if _library is None and not available():
        raise RuntimeError(f"oneDNN is not available: {_reason}")
    assert _library is not None
    return _library
