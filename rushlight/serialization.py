"""Saving and loading: ``torch.serialization``."""

from __future__ import annotations

from rushlight._pickle_reader import LoadError as LoadError
from rushlight._serialization import (
    DEFAULT_PROTOCOL as DEFAULT_PROTOCOL,
    get_unsafe_globals_in_checkpoint as get_unsafe_globals_in_checkpoint,
    load as load,
    save as save,
)
from rushlight._serialization_data import (
    add_safe_globals as add_safe_globals,
    clear_safe_globals as clear_safe_globals,
    get_safe_globals as get_safe_globals,
    safe_globals as safe_globals,
)
from rushlight._serialization_place import default_restore_location as default_restore_location
