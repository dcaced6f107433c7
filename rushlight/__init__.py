"""rushlight: PyTorch's programming model, recorded and compiled. ``import rushlight as torch``."""

from rushlight import autograd as autograd
from rushlight._bind import namespace as _namespace
from rushlight._creation import (
    as_tensor as as_tensor,
    empty as empty,
    from_dlpack as from_dlpack,
    from_numpy as from_numpy,
    full as full,
    ones as ones,
    tensor as tensor,
    zeros as zeros,
)
from rushlight._printing import set_printoptions as set_printoptions
from rushlight._tensor import Tensor as Tensor
from rushlight.autograd.grad_mode import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from rushlight.engine.core.device import device as device
from rushlight.engine.core.dtype import (
    float32 as float32,
    int64 as int64,
)

globals().update(_namespace("torch"))
