"""The command-line trainer: it trains, resumes exactly, tests, and draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "main.py"

#: Trains until the first checkpoint has been written.
STOPPED = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import main
save = main.Trainer.save
def stop(self):
    save(self)
    raise SystemExit(3)
main.Trainer.save = stop
main.main()
"""


def run(*words: str, status: int = 0) -> str:
    """What a program prints under ``rushlight run``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == status, done.stderr[-2000:]
    return done.stdout


def test_a_resumed_training_equals_the_uninterrupted(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    small = ["--model", "shufflenet_v2_x0_5", "--batch-size", "8", "--limit-batches", "3"]
    words = [*small, "--dataset", "digits", "--epochs", "2", "--train", "--output"]
    printed = run(str(SCRIPT), *words, str(whole))
    assert printed.startswith("shufflenet_v2_x0_5: 352,042 parameters, 10 classes\n")
    history = json.loads((whole / "history.json").read_text("utf-8"))
    assert len(history) == 2
    assert (whole / "result.png").read_bytes().startswith(b"\x89PNG")

    run("-c", STOPPED, *words, str(stopped), status=3)
    assert not (stopped / "history.json").exists()
    printed = run(str(SCRIPT), *words, str(stopped), "--resume")
    assert f"Resumed {stopped / 'checkpoint.pt'} after epoch 1" in printed
    assert "epoch 1/2" not in printed
    assert json.loads((stopped / "history.json").read_text("utf-8")) == history

    best = max(history, key=lambda record: record["accuracy"])
    tested = run(str(SCRIPT), *words[:-2], "--output", str(stopped))
    expected = f"test loss {best['test_loss']:.4f}, accuracy {100 * best['accuracy']:.2f} %"
    assert expected in tested


def test_pictures_in_folders(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for half in ("train", "val"):
        for number in range(8):
            folder = tmp_path / half / ("dark", "light")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            points = generator.integers(128, size=(9, 9, 3)) + 127 * (number % 2)
            Image.fromarray(points.astype(np.uint8)).save(folder / f"{number}.png")
    printed = run(
        str(SCRIPT), "--dataset", "folder", "--dataset_path", str(tmp_path),
        "--model", "squeezenet1_1", "--image-size", "32", "--batch-size", "4", "--epochs", "1",
        "--train", "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert "2 classes" in printed
    assert "epoch 1/1" in printed
