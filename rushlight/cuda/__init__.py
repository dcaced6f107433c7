"""GPU queries: ``torch.cuda``."""

from importlib import import_module as _import_module

from rushlight.cuda._none import (
    current_device as current_device,
    device_count as device_count,
    empty_cache as empty_cache,
    get_device_capability as get_device_capability,
    get_device_name as get_device_name,
    get_device_properties as get_device_properties,
    init as init,
    is_available as is_available,
    is_bf16_supported as is_bf16_supported,
    is_initialized as is_initialized,
    manual_seed as manual_seed,
    manual_seed_all as manual_seed_all,
    max_memory_allocated as max_memory_allocated,
    memory_allocated as memory_allocated,
    memory_reserved as memory_reserved,
    set_device as set_device,
    synchronize as synchronize,
)


def __getattr__(name: str) -> object:
    if name == "amp":
        return _import_module("rushlight.cuda.amp")
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
