"""One kernel for all calls that differ in the number of elements alone.

An optimizer's update is the same loop for every parameter: it is generated once and takes the
number of turns as an argument, which saves most of the time to compile.
"""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.dtype import int64
from rushlight.engine.ir.loops import Buffer, For, Index, Kernel, Store
from rushlight.engine.ir.plan import Constant, KernelCall, Plan
from rushlight.engine.ir.scalar import Expr, number, walk


def _flat(kernel: Kernel) -> For | None:
    """The only loop of a kernel that is nothing else than this loop."""
    if len(kernel.body) != 1 or not isinstance(kernel.body[0], For):
        return None
    loop = kernel.body[0]
    if not isinstance(loop.loop.size, int) or any(isinstance(x, For) for x in loop.body):
        return None
    return loop


def _signature(kernel: Kernel, loop: For) -> Any:
    """What two kernels of a kind have in common: everything but names and the size."""
    buffers = {id(b): k for k, b in enumerate(kernel.buffers)}
    known: dict[int, int] = {}
    tokens: list[Any] = [
        tuple([(b.dtype.name, b in kernel.outputs) for b in kernel.buffers]),
        tuple([kind.name for kind in kernel.scalars]),
        loop.parallel,
    ]

    def place(buffer: Buffer, index: Index) -> Any:
        terms = tuple([stride for _, stride in index.terms])
        dynamic = tuple([(known[id(e)], stride) for e, stride in index.dynamic])
        return buffers[id(buffer)], index.offset, terms, dynamic

    def visit(expr: Expr) -> None:
        if id(expr) in known:
            return
        extra = expr.extra
        if expr.op == "load":
            for inner, _ in extra[1].dynamic:
                walk([inner], visit)
            extra = place(*extra)
        elif expr.op in ("loop", "accumulator"):
            extra = None
        known[id(expr)] = len(known)
        arguments = tuple([known[id(x)] for x in expr.args])
        tokens.append((expr.op, arguments, expr.dtype.name, repr(extra)))

    for item in loop.body:
        if not isinstance(item, Store):
            return id(kernel)
        walk([item.value, *[e for e, _ in item.index.dynamic]], visit)
        tokens.append(("store", place(item.buffer, item.index), known[id(item.value)], item.op))
    return tuple(tokens)


def share_kernels(plan: Plan) -> None:
    """Let calls of like kernels call the first one of them, with the size as an argument."""
    alike: dict[Any, list[tuple[KernelCall, int]]] = {}
    for call in plan.calls:
        if not isinstance(call, KernelCall):
            continue
        loop = _flat(call.kernel)
        if loop is not None:
            assert isinstance(loop.loop.size, int)
            key = _signature(call.kernel, loop)
            alike.setdefault(key, []).append((call, loop.loop.size))
    for calls in alike.values():
        if len(calls) > 1:
            _share(calls)


def _share(calls: list[tuple[KernelCall, int]]) -> None:
    kernel = calls[0][0].kernel
    loop = _flat(kernel)
    assert loop is not None
    loop.loop.size = number(len(kernel.scalars), int64)
    kernel.scalars.append(int64)
    for call, size in calls:
        call.kernel = kernel
        call.numbers.append(Constant(size))


