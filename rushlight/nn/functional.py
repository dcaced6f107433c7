"""The functions of ``torch.nn.functional``."""

from rushlight._bind import namespace as _namespace

globals().update(_namespace("nn.functional"))
