"""Generated from the operator records by tools/generate_stubs.py; do not edit."""

import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight._tensor import Tensor

