"""The checks of an operator's other forms: in place, ``out=``, refused, recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

import rushlight
from rushlight.engine.core.config import config
from rushlight.engine.ir.samples import T
from rushlight.engine.trace.recorder import mode
from tests.ops.checks import Failures, gradients_of, same_gradients
from tests.ops.differences import other_names
from tests.ops.harness import (
    TOLERANCE,
    Call,
    Face,
    array_of,
    attempt,
    compare,
    make_call,
    oracle,
    own,
    run_own,
    run_pending,
    run_theirs,
    tensors_in,
    their_word,
    theirs,
)

# in-place and out= -----------------------------------------------------------------------------


def _write_call(call: Call, library: Any, make: Callable[..., Any], how: str) -> Any:
    """Call an in-place form on a copy of the first tensor; the copy, and what it leads back to."""
    args, kwargs, tensors = call.realize(
        lambda leaf, number: make(leaf, how == "graph" or (how == "leaf" and number == 0)),
        their_word if library is oracle else lambda x: x,
    )
    target = args[0] if how == "leaf" else args[0].clone()
    return args, kwargs, tensors, target


def _inplace(face: Face, call: Call, how: str) -> None:
    name = face.record.method_name + "_" if face.record.method else ""

    def run(library: Any, make: Callable[..., Any]) -> Any:
        args, kwargs, tensors, target = _write_call(call, library, make, how)
        if name:
            result = getattr(target, name)(*args[1:], **kwargs)
        else:
            space = face.record.namespaces[0]
            path = f"{space}.{face.record.public_name}_".removeprefix("torch.")
            function: Any = library
            for part in path.split("."):
                function = getattr(function, part)
            result = function(target, *args[1:], **kwargs)
        assert result is target
        return target, tensors

    expected, refused = attempt(lambda: run(oracle, theirs))
    if refused is not None:
        _, error = attempt(lambda: [array_of(t) for t in tensors_in(run(rushlight, own)[0])])
        assert error is not None, f"{how}: PyTorch refuses this: {refused}"
        assert isinstance(error, type(refused)), (
            f"{how}: {type(error).__name__} ({error}), PyTorch: {type(refused).__name__} "
            f"({refused})"
        )
        return
    ours = run(rushlight, own)
    compare(ours[0], expected[0], call.sample.tolerance, other_names(face))
    if how == "graph" and call.sample.check_grad:
        have = gradients_of(rushlight, *ours, own, False)
        want, refused = attempt(lambda: gradients_of(oracle, *expected, theirs, False))
        if refused is not None:  # PyTorch has no derivative for some in-place forms
            return
        same_gradients(have[0], want[0], call.sample.tolerance * 2)


def check_inplace(face: Face) -> None:
    """The in-place form gives PyTorch's results and gradients, and refuses what it refuses."""
    failures = Failures()
    for sample in face.samples:
        if not sample.oracle or not isinstance(sample.args[0], T):
            continue
        for how in ("plain", "graph", "leaf"):
            call = make_call(face, sample)
            failures.run(sample, how, lambda c=call, h=how: _inplace(face, c, h))
        call = make_call(face, sample, "int64")
        failures.run(sample, "int64", lambda c=call: _inplace(face, c, "plain"))
    failures.report()


def _out(face: Face, call: Call, size: Callable[[Any], tuple[int, ...]]) -> None:
    plain, _ = run_own(face, call)
    parts = tensors_in(plain)
    if not parts or (isinstance(plain, (tuple, list)) and len(parts) != len(plain)):
        return
    outs = tuple(rushlight.zeros(size(t), dtype=t.dtype) for t in parts)
    args, kwargs, _ = call.realize(lambda leaf, _: own(leaf))
    rushlight.manual_seed(0)
    given = outs if isinstance(plain, tuple) else outs[0]
    made = face.function(*args, **kwargs, out=given)
    assert isinstance(plain, tuple) or made is given
    for out, part in zip(outs, parts, strict=True):
        assert out.shape == part.shape
        assert out.dtype is part.dtype
        np.testing.assert_array_equal(array_of(out), array_of(part))


#: Functions whose ``out=`` must be boolean for PyTorch, though it could be converted.
BOOLEAN_OUT = {"isneginf", "isposinf", "signbit"}


def _out_type(face: Face, call: Call, wrong: str) -> None:
    """``out=`` of another type: converted or refused as PyTorch does it."""

    def run(library: Any, function: Any, make: Any, word: Any) -> Any:
        args, kwargs, _ = call.realize(lambda leaf, _: make(leaf), word)
        return function(*args, **kwargs, out=library.zeros(0, dtype=getattr(library, wrong)))

    expected, refused = attempt(lambda: run(oracle, face.reference, theirs, their_word))
    if isinstance(refused, TypeError):
        return
    ours, error = attempt(lambda: run(rushlight, face.function, own, lambda x: x))
    if refused is None:
        assert error is None, f"out of type {wrong}: {error}"
        coarser = TOLERANCE["float32"] / TOLERANCE["float64"]  # computed before it is converted
        compare(ours, expected, call.sample.tolerance * coarser)
    elif wrong == "int64" and face.name not in BOOLEAN_OUT:
        assert isinstance(error, type(refused)), f"out of type {wrong}: PyTorch: {refused}"


def check_out(face: Face) -> None:
    """``out=`` receives the result, whatever its size was."""
    failures = Failures()
    for index, sample in enumerate(face.samples):
        call = make_call(face, sample)
        failures.run(sample, "out", lambda c=call: _out(face, c, lambda t: tuple(t.shape)))
        failures.run(sample, "empty out", lambda c=call: _out(face, c, lambda t: (0,)))
        if index or face.reference is None or not sample.oracle:
            continue
        single, error = attempt(lambda c=call: run_own(face, c)[0])
        if error is None and isinstance(single, rushlight.Tensor):
            for wrong in ("float64", "int64"):
                failures.run(sample, wrong, lambda c=call, w=wrong: _out_type(face, c, w))
    failures.report()


def _method(face: Face, call: Call) -> None:
    name = face.record.method_name

    def run(make: Callable[..., Any], word: Callable[[Any], Any]) -> Any:
        args, kwargs, _ = call.realize(lambda leaf, _: make(leaf), word)
        return getattr(args[0], name)(*args[1:], **kwargs)

    rushlight.manual_seed(0)
    made = run(own, lambda x: x)
    if oracle is not None and hasattr(oracle.Tensor, name) and call.sample.oracle:
        oracle.manual_seed(0)
        expected, refused = attempt(lambda: run(theirs, their_word))
        if refused is None:  # some methods of PyTorch's take less than its functions
            compare(made, expected, call.sample.tolerance)
        return
    for one, two in zip(tensors_in(made), tensors_in(run_own(face, call)[0]), strict=True):
        np.testing.assert_array_equal(array_of(one), array_of(two))


def check_method(face: Face) -> None:
    """The method gives what PyTorch's gives."""
    failures = Failures()
    for sample in face.samples:
        if sample.args and isinstance(sample.args[0], T):
            call = make_call(face, sample)
            failures.run(sample, "method", lambda c=call: _method(face, c))
    failures.report()


# errors ----------------------------------------------------------------------------------------


def check_errors(face: Face) -> None:
    """Error samples raise PyTorch's type with its words."""
    failures = Failures()
    for sample in face.record.errors:

        def check(sample: Any = sample) -> None:
            call = make_call(face, sample.sample)
            _, error = attempt(
                lambda: [array_of(t) for t in tensors_in(run_own(face, call, True)[0])]
            )
            assert type(error) is sample.error, f"{type(error).__name__}: {error}"
            assert re.search(sample.match, str(error)), f"the message is: {error}"
            if face.reference is not None and sample.sample.oracle:
                _, theirs_error = attempt(lambda: run_theirs(face, call, True))
                assert type(theirs_error) is sample.error, f"PyTorch's: {theirs_error!r}"
                assert re.search(sample.match, str(theirs_error)), f"PyTorch's: {theirs_error}"

        failures.run(sample.sample, sample.error.__name__, check)
    failures.report()


# recorded and at once --------------------------------------------------------------------------


def _whole(face: Face, call: Call) -> list[np.ndarray]:
    results, gradients = run_pending(face, call)
    return [array_of(t) for t in [*results, *gradients] if t is not None]


def check_recorded(face: Face) -> None:
    """Recorded and run as a whole, also from the cache, an operator does what it does alone."""
    failures = Failures()
    for sample in face.samples:
        call = make_call(face, sample)

        def check(call: Call = call) -> None:
            recorded = _whole(face, call)
            cached = _whole(face, call)
            before = mode.limit, config.eager
            config.eager, mode.limit = True, -1
            try:
                alone = _whole(face, call)
            finally:
                config.eager, mode.limit = before[1], before[0]
            for one, two, three in zip(recorded, cached, alone, strict=True):
                np.testing.assert_array_equal(one, two, "the second run differs from the first")
                np.testing.assert_array_equal(one, three, "run as a whole it differs")

        failures.run(sample, "float32", check)
    failures.report()
