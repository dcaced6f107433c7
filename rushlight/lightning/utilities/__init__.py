"""Small things of the trainer that programs import by name."""

from rushlight.lightning.seed import seed_everything as seed_everything
from rushlight.lightning.sources import CombinedLoader as CombinedLoader
from rushlight.lightning.utilities.exceptions import (
    MisconfigurationException as MisconfigurationException,
)
from rushlight.lightning.utilities.model_summary import (
    ModelSummary as ModelSummary,
    summarize as summarize,
)
from rushlight.lightning.utilities.rank_zero import (
    rank_zero_debug as rank_zero_debug,
    rank_zero_deprecation as rank_zero_deprecation,
    rank_zero_info as rank_zero_info,
    rank_zero_only as rank_zero_only,
    rank_zero_warn as rank_zero_warn,
)
