"""Runs a script on PyTorch, also where torchvision's compiled operators do not load.

``python -m benchmarks.torchvision_peer script.py [arguments]``. The wheel of torchvision on PyPI is
built for CUDA's PyTorch; beside the CPU build its Python half works once the names of the operators
that it describes (none of which data sets and transforms need) have been declared.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
import sys
from pathlib import Path


def load() -> None:
    """Import torchvision, declaring its operators by name if they are not there.

    Raises:
        ImportError: PyTorch or torchvision is not installed.
    """
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        found = importlib.util.find_spec("torchvision")
        assert found is not None
        assert found.origin is not None
        text = Path(found.origin).with_name("_meta_registrations.py").read_text()
        library = torch.library.Library("torchvision", "DEF")
        for name in sorted(set(re.findall(r'(?:torchvision::|register_meta\(")(\w+)"', text))):
            library.define(f"{name}(Tensor x) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        importlib.import_module("torchvision")
        globals()["_library"] = library  # declared as long as it lives


if __name__ == "__main__":
    load()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
