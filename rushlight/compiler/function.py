"""A compiled function runs as written until a call has done the same twice, then is replayed."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from rushlight.compiler.capture import Analysis
from rushlight.compiler.recorded import Capture
from rushlight.compiler.references import Argument, UnsupportedError
from rushlight.compiler.replay import MISS, make_replay
from rushlight.compiler.signature import Signature
from rushlight.compiler.watcher import Watched, watch_call
from rushlight.compiler.world import Tensors, World, guard_function
from rushlight.engine.core import log
from rushlight.engine.core.config import config
from rushlight.engine.core.dtype import get_default_dtype
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace.autocast import state as autocast_state
from rushlight.engine.trace.differentiate import anomaly
from rushlight.engine.trace.gradient_node import next_sequence
from rushlight.nn.modules.hooks import everywhere as module_hooks
from rushlight.nn.modules.module import Module
from rushlight.optim.hooks import everywhere as step_hooks

#: Recorded calls of one signature that may differ before it is left to run as written.
ATTEMPTS = 6

#: Replays of one signature, for different training flags and the like.
MOST_REPLAYS = 8

#: Signatures of one function.
MOST_SIGNATURES = 64


class _Recording(threading.local):
    """Whether this thread is recording a call; functions compiled inside run as written then."""

    on = False
    off = 0  # how many `disable`d functions are running


recording = _Recording()

#: All compiled functions.
functions: weakref.WeakSet[Any] = weakref.WeakSet()
_one_at_a_time = threading.RLock()


class Replay:
    """A recorded call that is ready to be run again.

    Attributes:
        guard: whether everything the call depends on besides its arguments is as it was.
        run: does what the call did, for the tensors among other arguments.
        capture: what that is.
    """

    __slots__ = ("capture", "guard", "run")

    def __init__(
        self, guard: Callable[[], bool], run: Callable[[list[Any]], Any], capture: Capture
    ) -> None:
        self.guard = guard
        self.run = run
        self.capture = capture


class Entry:
    """What is known of the calls of one signature."""

    __slots__ = ("attempts", "objects", "refused", "replays", "seen")

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects
        self.replays: list[Replay] = []
        self.seen: list[Capture] = []
        self.attempts = 0
        self.refused = ""


class CompiledFunction:
    """Calls a function, by a replay where that is sound; see ``compile``.

    Attributes:
        function: the function as written.
        entries: what is known of it, by signature.
        replayed: how many calls were replays.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.entries: dict[Any, Entry] = {}
        self.replayed = 0
        functions.add(self)
        if not isinstance(function, Module):
            functools.update_wrapper(self, function, updated=())
        self._torchdynamo_orig_callable = function

    def __repr__(self) -> str:
        return f"<compiled {self.function!r}>"

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        trace = here.trace
        if recording.on or recording.off or trace.inference or trace.limit < 0:
            return self.function(*args, **kwargs)
        if config.eager or anomaly.enabled or module_hooks.any or _act():
            return self.function(*args, **kwargs)
        signature = Signature()
        try:
            key: Any = [signature.key(x) for x in args]
            if kwargs:
                key.extend([(name, signature.key(x)) for name, x in kwargs.items()])
            key = (trace.grad, get_default_dtype(), autocast_state.key(), *key)
            entry = self.entries.get(key)
        except (UnsupportedError, TypeError) as reason:
            _say(self.function, str(reason))
            return self.function(*args, **kwargs)
        if entry is not None:
            for replay in entry.replays:
                if replay.guard():
                    result = replay.run(signature.tensors)
                    if result is not MISS:
                        self.replayed += 1
                        return result
            if entry.refused:
                return self.function(*args, **kwargs)
        elif len(self.entries) >= MOST_SIGNATURES:
            _say(self.function, f"it has been called with {MOST_SIGNATURES} kinds of arguments")
            return self.function(*args, **kwargs)
        else:
            entry = self.entries[key] = Entry(signature.objects)
        if not _one_at_a_time.acquire(blocking=False):  # another thread's call is being recorded
            return self.function(*args, **kwargs)
        try:
            return self._record(entry, args, kwargs, signature.tensors)
        finally:
            _one_at_a_time.release()

    def _record(self, entry: Entry, args: Any, kwargs: Any, arguments: list[Any]) -> Any:
        """Run the call as written; make a replay if it did the same as the last one."""
        flush("compile")
        try:
            tensors = Tensors()
            world = World(self.function, entry.objects)
        except UnsupportedError as reason:
            self._refuse(entry, str(reason))
            return self.function(*args, **kwargs)
        begun = next_sequence()
        recording.on = True
        try:
            watched = watch_call(self.function, args, kwargs)
        finally:
            recording.on = False
        try:
            analysis = Analysis(watched, tensors, world, arguments, begun)
            capture = analysis.capture()
            if capture in entry.seen:
                entry.replays.append(_replay(capture, analysis, watched, world, arguments))
                entry.attempts = 0
                entry.seen.remove(capture)
                if len(entry.replays) > MOST_REPLAYS:
                    raise UnsupportedError(f"it came out in more than {MOST_REPLAYS} ways")
                _say(self.function, f"replayed from now on: {_size(capture)}")
            else:
                self._try_again(entry, capture)
        except UnsupportedError as reason:
            self._try_again(entry, None, str(reason))
        return watched.result

    def _try_again(self, entry: Entry, capture: Capture | None, reason: str = "") -> None:
        entry.attempts += 1
        if entry.attempts >= ATTEMPTS:
            last = entry.seen[-1] if entry.seen else None
            self._refuse(entry, reason or _difference(last, capture))
        elif capture is not None:
            entry.seen.append(capture)

    def _refuse(self, entry: Entry, reason: str) -> None:
        entry.refused = reason
        entry.seen.clear()
        _say(self.function, f"runs as written: {reason}")


class _Lookers:
    """The hooks on all optimizers' steps that only look, as those of ``debug.checks`` do."""

    keys: tuple[int, ...] = ()


def _act() -> bool:
    """Whether there are hooks on all optimizers' steps that do more than look."""
    keys = (*step_hooks.pre, *step_hooks.post)
    if keys == _Lookers.keys:
        return False
    hooks = (*step_hooks.pre.values(), *step_hooks.post.values())
    if any(not hasattr(hook, "looks_only") for hook in hooks):
        return True
    _Lookers.keys = keys
    return False


def _say(function: Any, text: str) -> None:
    log.write("compile", f"{getattr(function, '__qualname__', function)}: {text}")


def _size(capture: Capture) -> str:
    operations = sum(len(bound.program.nodes) for bound in capture.programs)
    return f"{operations} operations in {len(capture.programs)} programs"


def _difference(one: Capture | None, two: Capture | None) -> str:
    if one is None or two is None:
        return "no two calls did the same"
    if len(one.programs) != len(two.programs):
        return "the number of programs it runs differs from call to call"
    for first, second in zip(one.programs, two.programs, strict=True):
        if first.program is not second.program:
            return "its operations differ from call to call"
        for (position, a), (_, b) in zip(first.inputs, second.inputs, strict=True):
            if a != b:
                kind = type(a).__name__.lower()
                return f"input %{position} ({kind}) differs from call to call: {a!r}, {b!r}"
    for name in ("writes", "gradients", "nodes", "result", "streams", "steps"):
        if getattr(one, name) != getattr(two, name):
            return f"its {name} differ from call to call"
    return "no two calls did the same"


def _replay(
    capture: Capture, analysis: Analysis, watched: Watched, world: World, arguments: list[Any]
) -> Replay:
    checks = list(world.entries)
    covered: set[int] = set()
    for step in watched.steps:
        covered |= step.numbers.state_tensors()
    for tensor in analysis.held.values():
        if id(tensor) not in covered:
            checks.extend(world.checks_for(tensor))
    conditions: list[tuple[str, dict[str, Any]]] = [
        (f"len(z{id(found)}) == {size}", {f"z{id(found)}": found}) for found, size in world.sizes
    ]
    changed = {id(_target(g.target, arguments)) for g in capture.gradients}
    for step in watched.steps:
        optimizer: Any = step.numbers.optimizer
        if id(optimizer) not in world.ways:
            raise UnsupportedError("an optimizer cannot be reached from the function")
        checks.extend(world.checks_for(optimizer))
        conditions.extend(step.numbers.conditions())
        conditions.extend(step.numbers.gradients_stay(changed))
    for found in world.objects.values():
        if isinstance(found, Module):
            conditions.append(_without_hooks(found))
    for tensor in (*analysis.held.values(), *arguments):
        edge = tensor._edge
        if edge is not None and edge[0].is_leaf_node:
            if edge[0].hooks or edge[0].post_hooks or tensor._post_accumulate_hooks:
                raise UnsupportedError("a parameter has hooks")
    conditions.extend(
        _leaf_condition(tensor)
        for tensor in analysis.held.values()
        if tensor._edge is not None and tensor._edge[0].is_leaf_node
    )
    guard = guard_function(checks, conditions)
    steps = [step.numbers for step in watched.steps]
    run = make_replay(capture, steps, arguments)
    return Replay(guard, run, capture)


def _target(reference: Any, arguments: list[Any]) -> Any:
    return arguments[reference.index] if isinstance(reference, Argument) else getattr(
        reference, "tensor", None
    )


def _without_hooks(module: Any) -> tuple[str, dict[str, Any]]:
    tables = [
        module._forward_hooks, module._forward_pre_hooks, module._backward_hooks,
        module._backward_pre_hooks,
    ]  # fmt: skip
    if any(tables):
        raise UnsupportedError(f"{type(module).__name__} has hooks")
    return f"not any(h{id(module)})", {f"h{id(module)}": tuple(tables)}


def _leaf_condition(tensor: Any) -> tuple[str, dict[str, Any]]:
    """A leaf has no hooks; that it is still the same one is looked at by the replay."""
    name = f"t{id(tensor)}"
    condition = f"not {name}_n.hooks and not {name}_n.post_hooks"
    names = {f"{name}_n": tensor._edge[0]}
    if tensor._post_accumulate_hooks is None:
        return f"{condition} and not {name}._post_accumulate_hooks", {**names, name: tensor}
    return f"{condition} and not {name}_p", {**names, f"{name}_p": tensor._post_accumulate_hooks}
