"""The functions of ``torch.nn.functional``."""

from __future__ import annotations

from rushlight._bind import namespace as _namespace

globals().update(_namespace("nn.functional"))
