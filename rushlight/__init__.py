"""rushlight: PyTorch's programming model, recorded and compiled. ``import rushlight as torch``."""

from rushlight._loading import pause as _pause  # first of all

# isort: split
from importlib import import_module as _import_module
from math import e as e, inf as inf, nan as nan, pi as pi

from rushlight import autograd as autograd, cuda as cuda, random as random
from rushlight._bind import namespace as _namespace
from rushlight._creation import *
from rushlight._creation import LEGACY as _LEGACY
from rushlight._info import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    finfo as finfo,
    get_num_threads as get_num_threads,
    iinfo as iinfo,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    set_num_threads as set_num_threads,
    strided as strided,
    typename as typename,
    use_deterministic_algorithms as use_deterministic_algorithms,
)
from rushlight._printing import (
    get_printoptions as get_printoptions,
    printoptions as printoptions,
    set_printoptions as set_printoptions,
)
from rushlight._random import (
    Generator as Generator,
    bernoulli as bernoulli,
    default_generator as default_generator,
    get_rng_state as get_rng_state,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    multinomial as multinomial,
    normal as normal,
    poisson as poisson,
    rand as rand,
    rand_like as rand_like,
    randint as randint,
    randint_like as randint_like,
    randn as randn,
    randn_like as randn_like,
    randperm as randperm,
    seed as seed,
    set_rng_state as set_rng_state,
)
from rushlight._tensor import Tensor as Tensor
from rushlight.autograd.anomaly_mode import is_anomaly_enabled as is_anomaly_enabled
from rushlight.autograd.grad_mode import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from rushlight.engine.core.device import (
    device as device,
    get_default_device as get_default_device,
    set_default_device as set_default_device,
)
from rushlight.engine.core.dtype import (
    ALIASES as _ALIASES,
    bfloat16 as bfloat16,
    bool_ as bool,
    can_cast as can_cast,
    complex64 as complex64,
    complex128 as complex128,
    dtype as dtype,
    float8_e4m3fn as float8_e4m3fn,
    float8_e5m2 as float8_e5m2,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
    uint64 as uint64,
)
from rushlight.engine.core.shape import Size as Size
from rushlight.storage import TypedStorage as TypedStorage, UntypedStorage as UntypedStorage

__version__ = "0.1.0"

globals().update(_ALIASES)
globals().update(_LEGACY)
globals().update(_namespace("torch"))

#: Parts that are imported when they are first used.
_LAZY = (
    "accelerator", "amp", "backends", "compiler", "cpu", "debug", "distributed", "fft", "hub",
    "jit", "linalg", "multiprocessing", "nn", "optim", "profiler", "serialization", "special",
    "storage", "testing", "types", "utils", "version", "vision",
)  # fmt: skip

#: Functions of such parts that ``torch`` itself has too.
_LAZY_FUNCTIONS = {
    "autocast": "amp.autocast_mode",
    "clear_autocast_cache": "amp.autocast_mode",
    "compile": "compiler",
    "get_autocast_dtype": "amp.autocast_mode",
    "get_float32_matmul_precision": "backends.matmul_precision",
    "is_autocast_cache_enabled": "amp.autocast_mode",
    "is_autocast_enabled": "amp.autocast_mode",
    "load": "serialization",
    "save": "serialization",
    "set_float32_matmul_precision": "backends.matmul_precision",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        if name == "optim":
            _import_module("rushlight.debug.checks")  # looks at the first steps of an optimizer
        return _import_module(f"rushlight.{name}")
    if name in _LAZY_FUNCTIONS:
        return getattr(_import_module(f"rushlight.{_LAZY_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


from rushlight import _loaded as _loaded  # noqa: E402 - last of all
