"""Imported when all of the package has been."""

from __future__ import annotations

from rushlight._loading import pause

pause.end()
