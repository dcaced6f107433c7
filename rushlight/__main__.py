"""``python -m rushlight ...``: the same as the command ``rushlight ...``."""

import sys

from rushlight.cli import main

sys.exit(main())
