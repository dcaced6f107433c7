"""Write what torchvision says of its models: the table of trained weights, the tests' figures.

``python -m tools.record_vision`` needs PyTorch and torchvision 0.28. It writes

- ``rushlight/vision/models/_data/weights.json`` and ``imagenet.txt``: addresses, figures and
  preparations of every set of trained weights, and the names of ImageNet's classes;
- ``tests/vision/models/figures.json``: for each model the names and shapes of its state as a hash,
  and, for the small ones, some outputs for one seed;
- ``tests/vision/recorded_calls.json``: what operations on boxes and drawings give.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from benchmarks.torchvision_peer import load
from tests.vision.calls import CALLS, result
from tests.vision.models.figures import BUILT, COMPUTED, TRAINED, layout, losses, outputs

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "rushlight" / "vision" / "models" / "_data"
FIGURES = ROOT / "tests" / "vision" / "models" / "figures.json"
RESULTS = ROOT / "tests" / "vision" / "recorded_calls.json"


def _entry(weights: Any) -> dict[str, Any]:
    """One set of weights without the class names and the prose."""
    options = dict(weights.transforms.keywords)
    if "interpolation" in options:
        options["interpolation"] = options["interpolation"].value
    meta = {k: v for k, v in weights.meta.items() if k != "_docs"}
    if meta["categories"] is not None:  # they are ImageNet's, which have a file of their own
        meta["categories"] = "imagenet"
    return {"url": weights.url, "transforms": options, "meta": meta}


def weights_table(models: Any) -> dict[str, Any]:
    """Every class of weights of the models that classify pictures, by its name."""
    table = {}
    for name in models.list_models(module=models):
        found = models.get_model_weights(name)
        entries = {member.name: _entry(member) for member in found}
        table[found.__name__] = {"default": found.DEFAULT.name, "entries": entries}
    return table


def figures(torch: Any, models: Any) -> dict[str, Any]:
    """What the tests compare with."""
    layouts = {}
    with torch.device("meta"):  # names and shapes without memory
        for name in BUILT:
            layouts[name] = layout(getattr(models, name)())
    return {
        "layouts": layouts,
        "outputs": {name: outputs(torch, models, name) for name in COMPUTED},
        "losses": {name: losses(torch, models, name) for name in TRAINED},
    }


def main() -> int:
    """Write the files."""
    warnings.simplefilter("ignore")
    load()
    import torch
    import torchvision
    from torchvision import models

    categories = models.ResNet18_Weights.DEFAULT.meta["categories"]
    (DATA / "imagenet.txt").write_text("\n".join(categories) + "\n", "utf-8")
    table = json.dumps(weights_table(models), indent=1)
    (DATA / "weights.json").write_text(table + "\n", "utf-8")
    torch.set_num_threads(1)
    text = json.dumps(figures(torch, models), indent=1, sort_keys=True)
    FIGURES.write_text(text + "\n", "utf-8")
    results = {name: result(torch, torchvision, name) for name in CALLS}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
