"""Several groups at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rushlight.distributed._world import new_group, world
from rushlight.engine.core.config import launch_variables


def new_subgroups(
    group_size: int | None = None,
    group: Any = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Groups of ``group_size`` neighbours each; this process's own, and all of them."""
    if group_size is None:
        group_size = int(launch_variables().get("LOCAL_WORLD_SIZE", world.size))
    if group_size <= 0:
        raise ValueError(f"The arg 'group_size' ({group_size}) must be positive")
    if world.size % group_size != 0:
        raise ValueError(
            f"The world size ({world.size}) must be divisible by 'group_size={group_size}'"
        )
    made, own = [], None
    for first in range(0, world.size, group_size):
        made.append(new_group(range(first, first + group_size), timeout, backend))
        if first <= world.rank < first + group_size:
            own = made[-1]
    return own, made


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]],
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """A group for each list of ranks, which must not overlap; this process's own, and all of them.

    Raises:
        ValueError: a rank stands in two lists.
    """
    seen: set[int] = set()
    for ranks in ranks_per_subgroup_list:
        twice = seen & set(ranks)
        if twice:
            raise ValueError(f"Rank {min(twice)} has appeared in more than one subgroup")
        seen |= set(ranks)
    made, own = [], None
    for ranks in ranks_per_subgroup_list:
        made.append(new_group(ranks, timeout, backend))
        if world.rank in ranks:
            own = made[-1]
    return own, made
