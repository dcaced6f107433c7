"""The processor: ``torch.cpu``."""

from rushlight.cpu import amp as amp
from rushlight.cpu._device import (
    current_device as current_device,
    device_count as device_count,
    is_available as is_available,
    is_initialized as is_initialized,
    set_device as set_device,
    synchronize as synchronize,
)
