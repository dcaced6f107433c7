"""``seed_everything`` where Lightning 1.x had it."""

from __future__ import annotations

from rushlight.lightning.seed import seed_everything as seed_everything
