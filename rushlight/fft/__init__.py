"""The operators of ``torch.fft``."""

from rushlight._bind import namespace as _namespace

globals().update(_namespace("fft"))
