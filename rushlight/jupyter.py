"""An extension of IPython and Jupyter: ``%load_ext rushlight.jupyter``.

From then on ``import torch`` in the notebook, and in the libraries it imports, gives rushlight.
"""

from __future__ import annotations

from typing import Any

from rushlight.cli import aliases, children


def load_ipython_extension(shell: Any) -> None:
    """Answer ``torch``, ``torchvision`` and their like with rushlight in this kernel.

    Args:
        shell: the IPython shell that loads the extension.

    Raises:
        ImportError: the notebook has imported another ``torch`` already.
    """
    aliases.install()
    children.install()


def unload_ipython_extension(shell: Any) -> None:
    """Give the names back; what the notebook has imported already stays as it is."""
    children.uninstall()
    aliases.uninstall()
