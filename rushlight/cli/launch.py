"""``rushlight launch``: a program as several processes."""

from __future__ import annotations

from rushlight.distributed.run import main as main
