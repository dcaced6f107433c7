"""Times of training steps and of sums over ranks, printed by rank 0 as JSON.

``benchmarks.ranks`` launches it as it stands on both frameworks.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def lenet() -> Any:
    """LeNet for images of 3 × 32 × 32."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def mlp() -> Any:
    """Eight layers of 1024 × 1024: 33 MB of gradients."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(1024, 1024), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


def step_time(model: Any, inputs: Any, steps: int) -> float:
    """Milliseconds of a training step, once it has run for a while."""
    wanted = torch.randint(0, 10, (inputs.shape[0],))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    times = []
    for _ in range(steps):
        dist.barrier()
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), wanted)
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times[steps // 2 :])


def sum_time(count: int, repeats: int) -> float:
    """Milliseconds of an ``all_reduce`` of so many float32."""
    x = torch.zeros(count)
    times = []
    for _ in range(repeats):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(x)
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def main() -> None:
    """Measure, and print as rank 0."""
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    found: dict[str, float] = {}
    models: dict[str, tuple[Callable[[], Any], Any, int]] = {
        "LeNet, batch 16": (lenet, torch.randn(16, 3, 32, 32), 120),
        "MLP, batch 64": (mlp, torch.randn(64, 1024), 24),
    }
    for name, (make, inputs, steps) in models.items():
        found[f"{name}: alone"] = step_time(make(), inputs, steps)
        for capacity in (8, 25) if make is mlp else (25,):
            wrapped = DistributedDataParallel(make(), bucket_cap_mb=capacity)
            found[f"{name}: buckets of {capacity} MB"] = step_time(wrapped, inputs, steps)
    found["all_reduce of 4 KB"] = sum_time(1000, 200)
    found["all_reduce of 16 MB"] = sum_time(4_000_000, 20)
    if dist.get_rank() == 0:
        print(json.dumps(found), flush=True)
    dist.barrier()


if __name__ == "__main__":
    main()
