"""Recurrent layers over a whole sequence as loop kernels, for few samples at once.

One kernel goes through all steps. With few samples a step is a product of a matrix and a vector,
which a loop does as fast as a library; many samples are left to the library's products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rushlight.engine.core.dtype import dtype, float32, int64
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import (
    Accumulator,
    Buffer,
    Declare,
    For,
    Index,
    Kernel,
    Loop,
    Reduce,
    Statement,
    Store,
    load,
)
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, const, function, loop_value, where

#: Samples and hidden sizes up to which the loops are used. In microseconds on one core of a Zen 5
#: processor, an LSTM forward and backward over 16 steps, loops / products step by step: 1 sample of
#: 64: 34 / 250; 4 of 64: 130 / 390; 1 of 256: 510 / 800; 4 of 256: 1900 / 2900; but forward alone,
#: 8 of 64: 253 / 208.
SAMPLES: Final = 4
SIZE: Final = 256

Strides = Sequence[tuple[int, ...] | None]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A place on the axis of time: ``start + step * loop``."""

    start: int
    step: int
    loop: Loop


_Part = int | Loop | Expr | _Turn | tuple[int, Loop]


def _at(strides: Sequence[int], *parts: _Part) -> Index:
    """The place of an element; a pair is a loop that begins at a number."""
    offset = 0
    terms: list[tuple[Loop, int]] = []
    dynamic: list[tuple[Expr, int]] = []
    for stride, part in zip(strides, parts, strict=True):
        if isinstance(part, int):
            offset += stride * part
        elif isinstance(part, Loop):
            terms.append((part, stride))
        elif isinstance(part, Expr):
            dynamic.append((part, stride))
        elif isinstance(part, _Turn):
            offset += stride * part.start
            terms.append((part.loop, stride * part.step))
        else:
            offset += stride * part[0]
            terms.append((part[1], stride))
    kept = tuple((loop, stride) for loop, stride in terms if stride)
    return Index(offset, kept, tuple(dynamic))


class _Array:
    """A buffer with its strides."""

    __slots__ = ("buffer", "strides")

    def __init__(self, name: str, kind: dtype, strides: Sequence[int]) -> None:
        self.buffer = Buffer(kind, name)
        self.strides = strides

    def __getitem__(self, parts: tuple[_Part, ...]) -> Expr:
        return load(self.buffer, _at(self.strides, *parts))

    def put(self, value: Expr, *parts: _Part) -> Store:
        """The statement that stores an element."""
        return Store(self.buffer, _at(self.strides, *parts), value)


class _Layer:
    """A kernel being written: arrays, sizes, and the order of the steps.

    Args:
        spec: the operator; its first input or output with three axes has the steps and samples.
        strides: of the inputs, ``None`` for one that is missing.
        names: of the inputs, then of the outputs.
        hidden: the name of an array of one step.
        reverse: whether time runs backwards.
    """

    def __init__(
        self, spec: Spec, strides: Strides, names: str, states: Meta, reverse: bool
    ) -> None:
        self.steps, self.batch, self.size = states.shape
        self.reverse = reverse
        self.arrays: dict[str, _Array] = {}
        metas = [*spec.inputs, *spec.outs]
        every = [*strides, *[tuple(meta.strides) for meta in spec.outs]]
        for name, meta, steps in zip(names.split(), metas, every, strict=True):
            if meta is not None and steps is not None:
                self.arrays[name] = _Array(name, meta.dtype, steps)
        self.outputs = [self.arrays[name].buffer for name in names.split()[len(spec.inputs) :]]

    def kernel(self, body: list[Statement]) -> Kernel:
        """The kernel with this body."""
        made = Kernel("recurrent", [a.buffer for a in self.arrays.values()], self.outputs, [], body)
        made.operations = 8.0 * self.steps * self.batch * self.size * self.size
        return made

    def forward(self, step: Callable[[_Turn, Expr], list[Statement]], **begin: str) -> Kernel:
        """All steps in order; ``step`` is told its place, and that of the step before.

        Args:
            step: the statements of a step.
            begin: for arrays with a state after every step the name of the state at the start.
                It is put where the last step will write, which comes before the first one.
        """
        last = self.steps - 1
        final, loop = 0 if self.reverse else last, Loop(self.steps)
        now = _Turn(last, -1, loop) if self.reverse else _Turn(0, 1, loop)
        count = loop_value(loop)
        before = const(last + 1, int64) - count if self.reverse else count - 1
        starts = self.each(
            lambda n, j: [
                self.arrays[states].put(self.arrays[start][n, j], final, n, j)
                for states, start in begin.items()
            ]
        )
        body = step(now, where(count.eq(0), const(final, int64), before))
        return self.kernel([starts, For(loop, body)])

    def backward(self, step: Callable[[_Turn], list[Statement]], clear: str) -> list[Statement]:
        """All steps from the last one to the first, after the arrays named have been cleared."""
        zero, loop = const(0, float32), Loop(self.steps)
        zeros = self.each(
            lambda n, j: [self.arrays[name].put(zero, n, j) for name in clear.split()]
        )
        back = _Turn(0, 1, loop) if self.reverse else _Turn(self.steps - 1, -1, loop)
        return [zeros, For(loop, step(back))]

    def shift(self, start: str, states: str, target: str, at: int = 0) -> list[Statement]:
        """Write the state before every step to ``target``, from the row ``at`` on."""
        source, first, to = (self.arrays[name] for name in (states, start, target))
        loop, begin = Loop(self.steps - 1), self.steps - 1 if self.reverse else 0
        after = _Turn(0 if self.reverse else 1, 1, loop)
        before = _Turn(1 if self.reverse else 0, 1, loop)
        return [
            self.each(lambda n, j: [to.put(first[n, j], begin, n, (at, j))]),
            For(loop, [self.each(lambda n, j: [to.put(source[before, n, j], after, n, (at, j))])]),
        ]

    def each(self, body: Callable[[Loop, Loop], list[Statement]]) -> Statement:
        """Statements for every element of the hidden state."""
        sample, unit = Loop(self.batch), Loop(self.size)
        return For(sample, [For(unit, body(sample, unit))])

    def products(
        self, states: str, before: Expr, gates: int, store: Callable[..., list[Statement]]
    ) -> Statement:
        """``store(sample, unit, products)``: rows of the weights times the state before a step."""
        weight, source = self.arrays["weight"], self.arrays[states]

        def body(sample: Loop, unit: Loop) -> list[Statement]:
            sums = [Accumulator("add", float32) for _ in range(gates)]
            inner = Loop(self.size)
            state = source[before, sample, inner]
            rows: list[Statement] = [
                Reduce(total, state * weight[(gate * self.size, unit), inner])
                for gate, total in enumerate(sums)
            ]
            starts: list[Statement] = [Declare(total) for total in sums]
            made = store(sample, unit, [total.read() for total in sums])
            return [*starts, For(inner, rows), *made]

        return self.each(body)

    def spread(self, turn: _Turn, made: str, gates: int, target: str) -> Statement:
        """Add to ``target`` the slopes of a step's gates times the weights."""
        weight, slopes, total = (self.arrays[name] for name in ("weight", made, target))

        def body(sample: Loop, unit: Loop) -> list[Statement]:
            inner = Loop(self.size)
            value = total[sample, inner]
            for gate in range(gates):
                row = gate * self.size, unit
                value = value + slopes[turn, sample, row] * weight[row, inner]
            return [For(inner, [total.put(value, sample, inner)])]

        return self.each(body)


def _few(states: Meta) -> bool:
    """Whether the loops are as fast as a library."""
    _, batch, size = states.shape
    return states.dtype is float32 and batch <= SAMPLES and size <= SIZE and states.numel > 0


def _one(like: Expr) -> Expr:
    return const(1, like.dtype)


def lstm(spec: Spec, strides: Strides, reverse: bool) -> Kernel | None:
    """An LSTM: states and cells after every step, and the gates."""
    states = spec.outs[0]
    if not _few(states):
        return None
    layer = _Layer(spec, strides, "gates hidden cell weight states cells acts", states, reverse)
    gates, acts, cells, made = (layer.arrays[n] for n in ("gates", "acts", "cells", "states"))
    size = layer.size

    def step(turn: _Turn, before: Expr) -> list[Statement]:
        def share(n: Loop, j: Loop, products: list[Expr]) -> list[Statement]:
            rows = [(gate * size, j) for gate in range(4)]
            return [
                acts.put(gates[turn, n, row] + product, turn, n, row)
                for row, product in zip(rows, products, strict=True)
            ]

        def bend(n: Loop, j: Loop) -> list[Statement]:
            raw = [acts[turn, n, (gate * size, j)] for gate in range(4)]
            kinds = "sigmoid", "sigmoid", "tanh", "sigmoid"
            bent = [function(kind, x) for kind, x in zip(kinds, raw, strict=True)]
            i, f, g, o = bent
            after = f * cells[before, n, j] + i * g
            stores = [acts.put(x, turn, n, (gate * size, j)) for gate, x in enumerate(bent)]
            state = o * function("tanh", after)
            return [*stores, cells.put(after, turn, n, j), made.put(state, turn, n, j)]

        return [layer.products("states", before, 4, share), layer.each(bend)]

    return layer.forward(step, states="hidden", cells="cell")


def lstm_backward(spec: Spec, strides: Strides, reverse: bool) -> Kernel | None:
    """The gradients of an LSTM's gates and first states, and the state before every step."""
    states = spec.outs[3]
    if not _few(states):
        return None
    names = "g_states g_cells hidden cell weight states cells acts made to_hidden to_cell before"
    layer = _Layer(spec, strides, names, states, reverse)
    arrays, size = layer.arrays, layer.size
    to_hidden, to_cell, made = (arrays[n] for n in ("to_hidden", "to_cell", "made"))

    def step(turn: _Turn) -> list[Statement]:
        def slopes(n: Loop, j: Loop) -> list[Statement]:
            cell = made[turn, n, (size, j)]  # the one before, where its gate's slope will lie
            i, f, g, o = (arrays["acts"][turn, n, (gate * size, j)] for gate in range(4))
            bent, one = function("tanh", arrays["cells"][turn, n, j]), _one(i)
            at_hidden, at_cell = to_hidden[n, j], to_cell[n, j]
            if "g_states" in arrays:
                at_hidden = at_hidden + arrays["g_states"][turn, n, j]
            if "g_cells" in arrays:
                at_cell = at_cell + arrays["g_cells"][turn, n, j]
            at_cell = at_cell + at_hidden * (o * (one - bent * bent))
            parts = (
                at_cell * (i * (one - i) * g), at_cell * (f * (one - f) * cell),
                at_cell * (i * (one - g * g)), at_hidden * (o * (one - o) * bent),
            )  # fmt: skip
            return [
                *[made.put(x, turn, n, (gate * size, j)) for gate, x in enumerate(parts)],
                to_cell.put(at_cell * f, n, j), to_hidden.put(const(0, i.dtype), n, j),
            ]  # fmt: skip

        return [layer.each(slopes), layer.spread(turn, "made", 4, "to_hidden")]

    shifts = layer.shift("hidden", "states", "before")
    shifts += layer.shift("cell", "cells", "made", size)
    return layer.kernel([*shifts, *layer.backward(step, "to_hidden to_cell")])


def gru(spec: Spec, strides: Strides, reverse: bool) -> Kernel | None:
    """A GRU: states after every step, and the gates with the new one's hidden share."""
    states = spec.outs[0]
    if not _few(states):
        return None
    layer = _Layer(spec, strides, "gates hidden weight bias states acts", states, reverse)
    gates, acts, made = (layer.arrays[name] for name in ("gates", "acts", "states"))
    bias, size = layer.arrays.get("bias"), layer.size

    def step(turn: _Turn, before: Expr) -> list[Statement]:
        def share(n: Loop, j: Loop, products: list[Expr]) -> list[Statement]:
            if bias is not None:
                products = [x + bias[((gate * size, j),)] for gate, x in enumerate(products)]
            both = [gates[turn, n, (gate * size, j)] + products[gate] for gate in range(2)]
            return [
                *[acts.put(x, turn, n, (gate * size, j)) for gate, x in enumerate(both)],
                acts.put(products[2], turn, n, (3 * size, j)),
            ]

        def bend(n: Loop, j: Loop) -> list[Statement]:
            reset, update = (
                function("sigmoid", acts[turn, n, (gate * size, j)]) for gate in range(2)
            )
            inner = gates[turn, n, (2 * size, j)] + reset * acts[turn, n, (3 * size, j)]
            new, state = function("tanh", inner), made[before, n, j]
            parts = reset, update, new
            return [
                *[acts.put(x, turn, n, (gate * size, j)) for gate, x in enumerate(parts)],
                made.put((state - new) * update + new, turn, n, j),
            ]

        return [layer.products("states", before, 3, share), layer.each(bend)]

    return layer.forward(step, states="hidden")


def gru_backward(spec: Spec, strides: Strides, reverse: bool) -> Kernel | None:
    """The gradients of a GRU's gates and first state, those of the hidden state's share of the
    gates, and the state before every step."""
    states = spec.outs[3]
    if not _few(states):
        return None
    names = "g_states hidden weight bias states acts made to_hidden inner before"
    layer = _Layer(spec, strides, names, states, reverse)
    arrays, size = layer.arrays, layer.size

    def step(turn: _Turn) -> list[Statement]:
        def slopes(n: Loop, j: Loop) -> list[Statement]:
            reset, update, new, share = (
                arrays["acts"][turn, n, (gate * size, j)] for gate in range(4)
            )
            one, before = _one(new), arrays["before"][turn, n, j]
            at_hidden = arrays["to_hidden"][n, j] + arrays["g_states"][turn, n, j]
            to_new = (one - update) * (one - new * new) * at_hidden
            to_reset = to_new * share * (reset * (one - reset))
            to_update = (before - new) * (update * (one - update)) * at_hidden
            parts, inner = (to_reset, to_update, to_new), (to_reset, to_update, to_new * reset)
            return [
                *[arrays["made"].put(x, turn, n, (k * size, j)) for k, x in enumerate(parts)],
                *[arrays["inner"].put(x, turn, n, (k * size, j)) for k, x in enumerate(inner)],
                arrays["to_hidden"].put(at_hidden * update, n, j),
            ]

        return [layer.each(slopes), layer.spread(turn, "inner", 3, "to_hidden")]

    shifts = layer.shift("hidden", "states", "before")
    return layer.kernel([*shifts, *layer.backward(step, "to_hidden")])


def elman(spec: Spec, strides: Strides, relu: bool, reverse: bool) -> Kernel | None:
    """An Elman network: states after every step."""
    states = spec.outs[0]
    if not _few(states) or states.shape[0] < 2:  # the only step would write over what it reads
        return None
    layer = _Layer(spec, strides, "gates hidden weight states", states, reverse)
    gates, made = layer.arrays["gates"], layer.arrays["states"]

    def step(turn: _Turn, before: Expr) -> list[Statement]:
        def share(n: Loop, j: Loop, products: list[Expr]) -> list[Statement]:
            return [made.put(gates[turn, n, j] + products[0], turn, n, j)]

        def bend(n: Loop, j: Loop) -> list[Statement]:
            raw = made[turn, n, j]
            zero = const(0, raw.dtype)
            bent = function("maximum", raw, zero) if relu else function("tanh", raw)
            return [made.put(bent, turn, n, j)]

        return [layer.products("states", before, 1, share), layer.each(bend)]

    return layer.forward(step, states="hidden")


def elman_backward(spec: Spec, strides: Strides, relu: bool, reverse: bool) -> Kernel | None:
    """The gradients of an Elman network's gates and first state, and the state before each step."""
    states = spec.outs[2]
    if not _few(states):
        return None
    names = "g_states hidden weight states made to_hidden before"
    layer = _Layer(spec, strides, names, states, reverse)
    arrays = layer.arrays

    def step(turn: _Turn) -> list[Statement]:
        def slopes(n: Loop, j: Loop) -> list[Statement]:
            state = arrays["states"][turn, n, j]
            zero, one = const(0, state.dtype), _one(state)
            at_hidden = arrays["to_hidden"][n, j] + arrays["g_states"][turn, n, j]
            if relu:
                slope = where(zero < state, at_hidden, zero)
            else:
                slope = at_hidden * (one - state * state)
            return [
                arrays["made"].put(slope, turn, n, j), arrays["to_hidden"].put(zero, n, j),
            ]  # fmt: skip

        return [layer.each(slopes), layer.spread(turn, "made", 1, "to_hidden")]

    shifts = layer.shift("hidden", "states", "before")
    return layer.kernel([*shifts, *layer.backward(step, "to_hidden")])
