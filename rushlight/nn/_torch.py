"""The functions of ``torch`` that modules call, bound from the operator records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rushlight._bind import namespace

ops: Any = SimpleNamespace(**namespace("torch"))
linalg: Any = SimpleNamespace(**namespace("linalg"))
