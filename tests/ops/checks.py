"""The checks that every public operator passes on every one of its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import rushlight
from rushlight.engine.ir.samples import Sample, T
from rushlight.engine.runtime.executor import flush
from tests.ops.differences import DEPENDS_ON_MEMORY, other_names, undefined
from tests.ops.harness import (
    Call,
    Face,
    Leaf,
    array_of,
    assert_close,
    attempt,
    compare,
    cotangents,
    dtype_name,
    make_call,
    oracle,
    own,
    run_own,
    run_theirs,
    tensors_in,
    theirs,
)

#: Types tried besides float32 and float64, wherever PyTorch takes them, on the first samples.
OTHER_TYPES = ("float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64")
OTHER_SAMPLES = 2

#: Differences of the numeric derivative: step and allowed relative error in float64.
STEP = 1e-5
NUMERIC_TOLERANCE = 2e-6


def labelled(sample: Sample, what: str) -> str:
    """Words that say which call failed."""
    shown = ", ".join(map(_show, sample.args))
    named = "".join(f", {k}={_show(v)}" for k, v in sample.kwargs.items())
    return f"{what}: ({shown}{named})"


def _show(part: Any) -> str:
    if isinstance(part, T):
        return f"<{part.kind}{list(part.shape)}>"
    if type(part) in (list, tuple):
        return f"[{', '.join(map(_show, part))}]"
    return repr(part)


class Failures:
    """Collects what fails, so that one test reports all samples."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def run(self, sample: Sample, what: str, check: Callable[[], None]) -> None:
        """Run one check and note what it raised."""
        attempt(flush)  # what is left of a call that was refused fails here
        try:
            check()
        except Exception as error:
            text = str(error) or type(error).__name__
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            self.lines.append(f"{labelled(sample, what)}\n    {kind}{text}")

    def report(self) -> None:
        """Fail with everything noted."""
        assert not self.lines, "\n".join([f"{len(self.lines)} failures", *self.lines[:12]])


# values ----------------------------------------------------------------------------------------


def _unchanged(call: Call, before: Sequence[np.ndarray]) -> None:
    for leaf, array in zip(call.leaves, before, strict=True):
        assert leaf.array.tobytes() == array.tobytes(), "an input was modified"


def _plain_check(face: Face, call: Call) -> None:
    """What can be said without PyTorch: finite numbers of the promised type, twice the same."""
    first, second = (tensors_in(run_own(face, call)[0]) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        array = array_of(one)
        assert array.shape == tuple(one.shape)
        np.testing.assert_array_equal(array, array_of(two), "not deterministic")


def _against_oracle(face: Face, call: Call, must: bool, named: bool = False) -> None:
    """Compare with PyTorch; where it refuses the call, only a promised call is an error."""
    expected, error = attempt(lambda: run_theirs(face, call, True)[0])
    if error is not None:
        if must:
            raise AssertionError(f"PyTorch refuses the sample: {error}")
        return
    before = [leaf.array.copy() for leaf in call.leaves]
    ours, _ = run_own(face, call, True)
    compare(ours, expected, call.sample.tolerance, other_names(face) if named else None)
    _unchanged(call, before)


def check_values(face: Face) -> None:
    """Results against PyTorch's, in all types it takes; inputs stay what they were."""
    failures = Failures()
    for index, sample in enumerate(face.samples):
        for wanted in ("float32", "float64"):
            call = make_call(face, sample, wanted)
            if face.reference is None or not sample.oracle:
                failures.run(sample, wanted, lambda c=call: _plain_check(face, c))
            else:
                failures.run(sample, wanted, lambda c=call: _against_oracle(face, c, True, True))
        if face.reference is None or not sample.oracle or index >= OTHER_SAMPLES:
            continue
        for wanted in OTHER_TYPES:
            call = make_call(face, sample, wanted)
            failures.run(sample, wanted, lambda c=call: _against_oracle(face, c, False))
    failures.report()


# gradients -------------------------------------------------------------------------------------


def differentiable(sample: Sample) -> bool:
    """Whether the sample takes part in gradient checks."""
    return sample.check_grad


def gradients_of(
    library: Any, result: Any, tensors: Sequence[Any], make: Callable[[Leaf], Any],
    twice: bool,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """First gradients, and those of a random combination of them, of one library."""
    outputs = [t for t in tensors_in(result) if t.requires_grad]
    inputs = [t for t in tensors if t.requires_grad]
    if not outputs or not inputs:
        return [], []
    grads = [
        make(Leaf(array, dtype_name(out), True))
        for out, array in zip(outputs, cotangents(outputs, 1), strict=True)
    ]
    if twice:
        for grad in grads:
            grad.requires_grad_()
    first = list(
        library.autograd.grad(outputs, inputs, grads, create_graph=twice, allow_unused=True)
    )
    live = [g for g in first if g is not None and g.requires_grad]
    if not twice or not live:
        return first, []
    again = [
        make(Leaf(array, dtype_name(g), False))
        for g, array in zip(live, cotangents(live, 2), strict=True)
    ]
    second = library.autograd.grad(live, [*inputs, *grads], again, allow_unused=True)
    return first, list(second)


def same_gradients(ours: Sequence[Any], expected: Sequence[Any], factor: float) -> None:
    assert len(ours) == len(expected)
    for mine, other in zip(ours, expected, strict=True):
        if mine is None or other is None:
            rest = mine if other is None else other
            if rest is not None:
                array = array_of(rest)
                assert not array.any(), f"{'ours' if mine is None else 'PyTorch has'} None"
            continue
        assert dtype_name(mine) == dtype_name(other), "dtype of a gradient"
        assert tuple(mine.shape) == tuple(other.shape), "shape of a gradient"
        assert_close(array_of(mine), array_of(other), dtype_name(other), factor)


def _compare_gradients(face: Face, call: Call, twice: bool) -> None:
    expected, error = attempt(lambda: run_theirs(face, call, True))
    assert error is None, f"PyTorch refuses the sample: {error}"
    before = [leaf.array.copy() for leaf in call.leaves]
    ours = run_own(face, call, True)
    try:
        want = gradients_of(oracle, *expected, theirs, twice)
    except RuntimeError:
        if not twice:
            raise
        # PyTorch lacks some second derivatives; the numeric check covers ours
        want, twice = gradients_of(oracle, *run_theirs(face, call, True), theirs, False), False
    have = gradients_of(rushlight, *ours, own, twice)
    same_gradients(have[0], want[0], call.sample.tolerance * 2)
    same_gradients(have[1], want[1], call.sample.tolerance * 8)
    _unchanged(call, before)


def check_gradients(face: Face) -> None:
    """First and second gradients against PyTorch's."""
    failures = Failures()
    for sample in face.samples:
        if not sample.check_grad or not sample.oracle or face.reference is None:
            continue
        for wanted in ("float32", "float64"):
            twice = sample.twice and wanted == "float64"
            call = make_call(face, sample, wanted)
            failures.run(sample, wanted, lambda c=call, t=twice: _compare_gradients(face, c, t))
    failures.report()


# numeric derivatives ---------------------------------------------------------------------------


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    """The real inner product."""
    return float(np.real(np.vdot(a, b)))


class Slope:
    """A call as a real function of a step along one direction through its inputs."""

    def __init__(self, face: Face, call: Call) -> None:
        self.face = face
        self.call = call
        generator = np.random.default_rng(3)
        self.directions: list[np.ndarray | None] = []
        for leaf in call.leaves:
            direction: Any = None
            if leaf.differentiable:
                direction = generator.uniform(-1, 1, leaf.array.shape)
                if leaf.dtype.startswith("complex"):
                    direction = direction + 1j * generator.uniform(-1, 1, leaf.array.shape)
            self.directions.append(direction)

    def tensors(self, step: float) -> tuple[Any, list[Any]]:
        """The result at ``step``, and the inputs that want gradients."""

        def make(leaf: Leaf, number: int) -> Any:
            direction = self.directions[number]
            if direction is None:
                return own(leaf)
            moved = np.asarray(leaf.array + step * direction, leaf.array.dtype)
            return own(Leaf(moved, leaf.dtype, True), True)

        rushlight.manual_seed(0)
        args, kwargs, made = self.call.realize(make)
        result = self.face.function(*args, **kwargs)
        return result, [t for t, d in zip(made, self.directions, strict=True) if d is not None]

    def weighted(self, step: float) -> tuple[float, list[Any], list[Any], list[Any]]:
        """A random combination of the outputs, and what its gradient is asked for with."""
        result, inputs = self.tensors(step)
        outputs = [t for t in tensors_in(result) if t.requires_grad]
        weights = cotangents(outputs, 1)
        total = sum(_inner(w, array_of(o)) for w, o in zip(weights, outputs, strict=True))
        grads = [own(Leaf(w, dtype_name(o), True)) for w, o in zip(weights, outputs, strict=True)]
        return total, outputs, inputs, grads

    def along(self, gradients: Sequence[Any]) -> float:
        """The gradients' component along the direction."""
        directions = [d for d in self.directions if d is not None]
        return sum(
            _inner(array_of(g), d)
            for g, d in zip(gradients, directions, strict=True)
            if g is not None
        )


def _close(analytic: float, numeric: float, scale: float, what: str, factor: float) -> None:
    allowed = NUMERIC_TOLERANCE * factor * max(abs(numeric), scale, 1.0)
    assert abs(analytic - numeric) <= allowed, f"{what}: {analytic}, numerically {numeric}"


def _numeric(face: Face, call: Call, twice: bool) -> None:
    slope = Slope(face, call)
    total, outputs, inputs, grads = slope.weighted(0.0)
    if not outputs or not any(t.requires_grad for t in inputs):
        return
    if not np.isfinite(total):
        return
    first = rushlight.autograd.grad(outputs, inputs, grads, create_graph=twice, allow_unused=True)
    ahead, behind = slope.weighted(STEP)[0], slope.weighted(-STEP)[0]
    factor = call.sample.tolerance
    _close(slope.along(first), (ahead - behind) / (2 * STEP), abs(total), "gradient", factor)
    live = [g for g in first if g is not None and g.requires_grad]
    if not twice or not live:
        return
    weights = cotangents(live, 2)
    seconds = rushlight.autograd.grad(
        live, inputs, [own(Leaf(w, dtype_name(g), False)) for w, g in zip(weights, live,
        strict=True)], allow_unused=True,
    )  # fmt: skip
    chosen = [i for i, g in enumerate(first) if g is not None and g.requires_grad]

    def combined(step: float) -> float:
        _, outs, ins, cots = slope.weighted(step)
        found = rushlight.autograd.grad(outs, ins, cots, allow_unused=True)
        return sum(_inner(w, array_of(found[i])) for w, i in zip(weights, chosen, strict=True))

    numeric = (combined(STEP) - combined(-STEP)) / (2 * STEP)
    _close(slope.along(seconds), numeric, abs(combined(0.0)), "second gradient", factor)


def check_numeric(face: Face) -> None:
    """First and second derivatives along a random direction, numerically, in float64."""
    failures = Failures()
    for sample in face.samples:
        if not sample.check_grad or not sample.numeric:
            continue
        call = make_call(face, sample, "float64")
        if any(leaf.differentiable and leaf.array.size for leaf in call.leaves):
            failures.run(sample, "float64", lambda c=call, s=sample: _numeric(face, c, s.twice))
    failures.report()


# other layouts and shapes ----------------------------------------------------------------------


def reversed_axes(array: np.ndarray, number: int) -> np.ndarray:
    """The same elements with the axes in memory the other way round."""
    return np.asarray(array, order="F") if array.ndim > 1 else array


def with_gaps(array: np.ndarray, number: int) -> np.ndarray:
    """The same elements with gaps in memory along the last axis."""
    if array.ndim == 0:
        return array
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def expanded(array: np.ndarray, number: int) -> np.ndarray:
    """An array whose rows along the first axis are one row in memory."""
    if array.ndim == 0 or array.shape[0] < 2 or array.dtype.kind in "iub":
        return array
    return np.broadcast_to(array[:1], array.shape)


def channels_last(array: np.ndarray, number: int) -> np.ndarray:
    """The same elements with the channels of images innermost in memory."""
    if array.ndim not in (4, 5):
        return array
    order = (0, *range(2, array.ndim), 1)
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


LAYOUTS = (reversed_axes, with_gaps, expanded, channels_last)


def _any_layout(face: Face, call: Call) -> None:
    if face.reference is not None and call.sample.oracle:
        _against_oracle(face, call, False)
        return
    if face.name in DEPENDS_ON_MEMORY:
        return
    again = [Leaf(np.array(leaf.array, order="C"), leaf.dtype, leaf.grad) for leaf in call.leaves]
    fresh = iter(again)
    args, kwargs, _ = call.realize(lambda leaf, _: own(next(fresh)))
    rushlight.manual_seed(0)
    plain, refused = attempt(lambda: _arrays(face.function(*args, **kwargs)))
    ours, error = attempt(lambda: _arrays(run_own(face, call)[0]))
    assert type(error) is type(refused), f"{error!r} for this layout, row-major {refused!r}"
    for (name, one), (_, two) in zip(ours or (), plain or (), strict=True):
        assert_close(one, two, name, call.sample.tolerance * 2)


def _arrays(result: Any) -> list[tuple[str, np.ndarray]]:
    return [(dtype_name(tensor), array_of(tensor)) for tensor in tensors_in(result)]


def check_layouts(face: Face) -> None:
    """Inputs that are transposed, have gaps or are expanded give what PyTorch gives for them."""
    failures = Failures()
    for sample in face.samples:
        for layout in LAYOUTS:
            call = make_call(face, sample, "float32", layout=layout)
            changed = any(not leaf.array.flags.c_contiguous for leaf in call.leaves)
            if changed:
                failures.run(sample, layout.__name__, lambda c=call: _any_layout(face, c))
    failures.report()


def _shapes(sample: Sample) -> Iterator[tuple[str, Callable[[tuple[int, ...]], tuple[int, ...]]]]:
    """Other shapes for a sample: one size after the other made 0, and no axes at all."""
    sizes: list[int] = []
    for t in tensors_of(sample):
        sizes += [n for n in dict.fromkeys(t.shape) if n > 1 and n not in sizes]
    for size in sizes[:3]:
        yield f"{size} made 0", lambda shape, n=size: tuple(0 if m == n else m for m in shape)
    if sizes:
        yield "no axes", lambda shape: ()


def tensors_of(sample: Sample) -> list[T]:
    """The tensors of a sample, in order."""
    found: list[T] = []

    def look(part: Any) -> None:
        if isinstance(part, T):
            found.append(part)
        elif isinstance(part, (list, tuple)):
            for inner in part:
                look(inner)

    look(sample.args)
    look(tuple(sample.kwargs.values()))
    return found


#: What may be raised for a tensor without axes: PyTorch's choice among them is an accident.
REFUSALS = (RuntimeError, IndexError, ValueError, TypeError, AssertionError)


def _other_shape(face: Face, call: Call, kinds: Any) -> None:
    expected, refused = attempt(lambda: run_theirs(face, call, True)[0])
    if refused is None:
        ours, _ = run_own(face, call, True)
        compare(ours, expected, call.sample.tolerance)
        return
    _, error = attempt(lambda: [array_of(t) for t in tensors_in(run_own(face, call)[0])])
    assert error is not None, f"PyTorch refuses this: {type(refused).__name__}: {refused}"
    assert isinstance(error, kinds or type(refused)), (
        f"{type(error).__name__} ({error}), PyTorch: {type(refused).__name__} ({refused})"
    )


def check_shapes(face: Face) -> None:
    """Tensors without elements and without axes: PyTorch's results, or errors of its types."""
    failures = Failures()
    if face.reference is None:
        return
    for sample in face.samples:
        if not sample.oracle:
            continue
        for what, shape in _shapes(sample):
            call = make_call(face, sample, "float32", shape)
            if undefined(face, what, call):
                continue
            kinds = REFUSALS if what == "no axes" else None
            failures.run(sample, what, lambda c=call, k=kinds: _other_shape(face, c, k))
    failures.report()
