"""Fine-tuning helps, by so much that nobody needs to look twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "fine_tuning.py"


def table(output: Path, *words: str) -> dict[str, float]:
    """The mean of each row that the script prints."""
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", str(SCRIPT), "--output", str(output), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (output / "source.pth").exists()
    rows = re.findall(r"^(f\w+ .*?)  +(\d+\.\d) %", done.stdout, re.MULTILINE)
    return {title: float(mean) for title, mean in rows}


def test_the_gain_is_visible_and_comes_again(tmp_path: Path) -> None:
    means = table(tmp_path)
    nothing, frozen, stopped, slow = means.values()
    assert list(means)[0] == "from nothing"
    assert frozen == stopped  # two ways to say the same
    assert min(frozen, slow) > nothing + 8
    few = table(tmp_path, "--draws", "1")
    assert few == table(tmp_path, "--draws", "1")
