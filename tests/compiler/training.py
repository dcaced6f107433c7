"""A small training program in a process of its own, for tests of what must not change its losses.

Run as a module it trains and prints one line of JSON: the losses and the parameters, bit for bit,
and how much of it ran compiled.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STEPS = 20

#: What is run in the process when nothing is to go wrong.
PLAIN = "from tests.compiler import training; training.main()"


def train(steps: int = STEPS) -> tuple[list[float], str]:
    """The losses of a small convolutional network, and a hash of what it has learned."""
    import rushlight as torch
    import rushlight.nn.functional as F
    from rushlight import nn

    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 16), nn.GELU(), nn.Dropout(0.2), nn.LayerNorm(16), nn.Linear(16, 3),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    losses = []
    for step in range(steps):
        x, y = torch.randn(6, 1, 8, 8), torch.randint(0, 3, (6,))
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item() if step % 2 else float(loss))
        if step % 2:
            net.eval()
            with torch.no_grad():
                losses.append((net(x).softmax(1) * torch.arange(3.0)).sum().item())
            net.train()
    learned = hashlib.sha256()
    for value in net.state_dict().values():
        learned.update(value.numpy().tobytes())
    return losses, learned.hexdigest()


def main(steps: int = STEPS) -> None:
    """Train and tell."""
    from rushlight.engine.runtime.cache import counters

    losses, learned = train(steps)
    told = {"losses": [loss.hex() for loss in losses], "learned": learned,
            "compiled_runs": counters.compiled_runs}  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


def start(code: str = PLAIN, **environment: Any) -> subprocess.Popen[str]:
    """A process that runs ``code`` with these variables set (``None`` unsets one)."""
    here = Path(__file__).parents[2]
    wanted = {k: v for k, v in os.environ.items() if not k.startswith("RUSHLIGHT_")}
    wanted |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here)}
    wanted |= {name: str(value) for name, value in environment.items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=wanted, cwd=here, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def told_by(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process that must end well has told."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, f"ended with {process.returncode}\n{errors}"
    told: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return told


def run(code: str = PLAIN, **environment: Any) -> dict[str, Any]:
    """What a process tells that runs ``code`` with these variables set."""
    return told_by(start(code, **environment))


if __name__ == "__main__":
    main()
