"""How many threads each call of a plan runs on."""

from __future__ import annotations

from math import inf

from rushlight.engine.backends.cpu import threads
from rushlight.engine.compiler import choices
from rushlight.engine.ir.plan import KernelCall, Plan, PrimitiveCall


def choose_threads(plan: Plan) -> None:
    """Give kernels a team where that pays: sooner while the team of the call before is awake."""
    idle = inf  # microseconds since the team has worked, roughly
    for call in plan.calls:
        alone = inf
        team = False
        if isinstance(call, KernelCall):
            alone = threads.cost(call.kernel.operations, call.kernel.moved)
            awake = idle < choices.AWAKE and alone >= choices.AWAKE_PAYS
            call.threads = threads.limit() if awake else threads.choose(alone)
            team = call.threads > 1
        elif isinstance(call, PrimitiveCall):
            alone = getattr(call.owner, "microseconds", inf)
            team = call.prepared.threads > 1
        idle = 0.0 if team else idle + alone
