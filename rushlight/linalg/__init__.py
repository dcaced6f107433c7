"""The operators of ``torch.linalg``."""

from rushlight._bind import namespace as _namespace
from rushlight.engine.ops.linalg_checks import LinAlgError as LinAlgError

globals().update(_namespace("linalg"))
