"""What holds for every test: one thread for each library, and a fresh state."""

from __future__ import annotations

import os

# Before NumPy, oneDNN or PyTorch load: test processes run side by side, each on one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
