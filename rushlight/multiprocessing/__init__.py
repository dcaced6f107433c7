"""``multiprocessing``, and starting processes as PyTorch does: ``torch.multiprocessing``."""

from multiprocessing import *

from rushlight.multiprocessing._start import (
    ProcessContext as ProcessContext,
    ProcessException as ProcessException,
    ProcessExitedException as ProcessExitedException,
    ProcessRaisedException as ProcessRaisedException,
    SpawnContext as SpawnContext,
    get_all_sharing_strategies as get_all_sharing_strategies,
    get_sharing_strategy as get_sharing_strategy,
    set_sharing_strategy as set_sharing_strategy,
    spawn as spawn,
    start_processes as start_processes,
)
