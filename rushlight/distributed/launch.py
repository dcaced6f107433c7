"""The older launcher: ``python -m torch.distributed.launch --nproc_per_node N script.py``.

It tells a script its place on its node as ``--local_rank=K`` too, unless ``--use_env`` is given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rushlight.distributed.run import launch, make_parser


def spelling(script: str) -> str:
    """``--local-rank`` for scripts that know only this spelling, newer ones; else the older one."""
    path = Path(script)
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    newer = "--local-rank" in text and "--local_rank" not in text
    return "--local-rank" if newer else "--local_rank"


def main(arguments: Sequence[str] | None = None) -> int:
    """Launch a program; the exit status.

    Args:
        arguments: the words of the command line, the process's own by default.
    """
    parser = make_parser("torch.distributed.launch")
    parser.add_argument(
        "--use-env", "--use_env", action="store_true",
        help="the script reads LOCAL_RANK, and gets no --local_rank",
    )  # fmt: skip
    chosen = parser.parse_args(arguments)
    chosen.local_rank_option = "" if chosen.use_env else spelling(chosen.training_script)
    return launch(chosen, "torch.distributed.launch")


if __name__ == "__main__":
    sys.exit(main())
