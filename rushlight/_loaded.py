"""Imported when all of the package has been."""

from rushlight._loading import pause

pause.end()
