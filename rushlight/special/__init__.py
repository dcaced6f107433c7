"""The operators of ``torch.special``."""

from rushlight._bind import namespace as _namespace

globals().update(_namespace("special"))
