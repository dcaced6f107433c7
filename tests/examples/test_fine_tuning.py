"""Fine-tuning helps, by so much that nobody needs to look twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples"
TWICE = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import fine_tuning; "
TWICE += "fine_tuning.main(); print('again'); fine_tuning.main()"


def test_the_gain_is_visible_and_comes_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", "-c", TWICE, "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.split("again\n")
    assert first == second
    assert (tmp_path / "source.pth").exists()
    rows = re.findall(r"^(f\w+ .*?)  +(\d+\.\d) %", first, re.MULTILINE)
    means = {title: float(mean) for title, mean in rows}
    nothing, frozen, stopped, slow = means.values()
    assert next(iter(means)) == "from nothing"
    assert frozen == stopped  # two ways to say the same
    assert min(frozen, slow) > nothing + 8
