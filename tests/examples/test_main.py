"""The command-line trainer: it trains, resumes exactly, tests, and draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "main.py"
SMALL = ["--model", "shufflenet_v2_x0_5", "--batch-size", "8", "--limit-batches", "3"]

#: Ends the program after its first epoch, when the checkpoint has been written.
STOPPED = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import main
save = main.Trainer.save
def stop(self):
    save(self)
    sys.exit(3)
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
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = [*SMALL, "--dataset", "digits", "--epochs", "2", "--train", "--output"]
    printed = run(str(SCRIPT), *words, str(whole))
    assert printed.startswith("shufflenet_v2_x0_5: 352,042 parameters, 10 classes\n")
    assert "epoch 2/2: lr 0.0100, " in printed
    history = json.loads((whole / "history.json").read_text("utf-8"))
    assert len(history) == 2
    assert (whole / "result.png").read_bytes().startswith(b"\x89PNG")

    run("-c", STOPPED, *words, str(parts), status=3)
    assert not (parts / "history.json").exists()
    printed = run(str(SCRIPT), *words, str(parts), "--resume")
    assert f"Resumed {parts / 'checkpoint.pt'} after epoch 1" in printed
    assert "epoch 1/2" not in printed
    assert json.loads((parts / "history.json").read_text("utf-8")) == history

    best = max(history, key=lambda record: record["accuracy"])
    tested = run(str(SCRIPT), *words[:-2], "--output", str(parts))
    expected = f"test loss {best['test_loss']:.4f}, accuracy {100 * best['accuracy']:.2f} %"
    assert expected in tested


def test_pictures_in_folders(tmp_path: Path) -> None:
    code = "from torchvision.utils import save_image; import torch, pathlib, sys\n"
    code += "for half in ('train', 'val'):\n for kind in ('dark', 'light'):\n"
    code += "  folder = pathlib.Path(sys.argv[1], half, kind); folder.mkdir(parents=True)\n"
    code += "  for i in range(4): save_image(torch.rand(3, 9, 9) / 2 + (kind == 'light') / 2,"
    code += " folder / f'{i}.png')\n"
    run("-c", code, str(tmp_path / "pictures"))
    printed = run(
        str(SCRIPT), "--dataset", "folder", "--dataset_path", str(tmp_path / "pictures"),
        "--model", "squeezenet1_1", "--image-size", "32", "--batch-size", "4", "--epochs", "1",
        "--train", "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert "2 classes" in printed
    assert "epoch 1/1" in printed
