"""The operators of ``torch.linalg``."""

from rushlight._bind import namespace as _namespace

globals().update(_namespace("linalg"))
