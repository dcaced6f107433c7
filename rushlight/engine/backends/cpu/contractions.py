"""Products and convolutions as generated code: where few rows or channels leave oneDNN idle.

oneDNN's vectors run along channels and its tiles are made for large matrices; a call costs up to a
microsecond, and arrays are copied into its layout. What is small or narrow is faster as a tile of
generated code on the arrays as they lie (`ir.loops.Contract`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any, Final

from rushlight.engine.backends.cpu.llvm.jit import vector_width
from rushlight.engine.core.dtype import float32, int64
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import Axis, Buffer, Contract, For, Index, Kernel, Loop, as_expr
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, minimum

Steps = tuple[int, int, int]

#: Multiplications up to which matrix products, and terms up to which sums are done here.
MOST_PRODUCTS: Final = 8_000_000
LONGEST_SUM: Final = 4096

#: Pixels of image and result up to which the gradient of a convolution's weights is done here, and
#: channels of the image up to which a convolution is.
MOST_PIXELS: Final = 2_000_000
MOST_CHANNELS: Final = 32


class Contraction:
    """An operator as generated code.

    Attributes:
        kernel: the code; its buffers are the inputs, then the result.
        inputs: the numbers of the spec's inputs.
    """

    __slots__ = ("inputs", "kernel")

    def __init__(self, kernel: Kernel, inputs: Sequence[int]) -> None:
        self.kernel = kernel
        self.inputs = list(inputs)


class _Walk:
    """The loop over the tiles of an axis: the last tile may overlap the one before.

    Args:
        size: places of the axis.
        tile: places of a tile.
        steps: of the axis in the three arrays.
    """

    def __init__(self, size: int, tile: int, steps: Sequence[int]) -> None:
        self.steps = tuple(steps)
        self.count = ceil(size / tile)
        self.loop: Loop | None = None
        self.begin: Expr | None = None
        self.tile = tile
        if self.count > 1:
            self.loop = Loop(self.count)
            if size % tile:
                self.begin = minimum(as_expr(self.loop, int64) * tile, size - tile)

    def index(self, array: int) -> Index:
        """Where the tile begins in an array."""
        return self.shifted(self.steps[array])

    def shifted(self, step: int) -> Index:
        """Where it begins in an array with this step."""
        if self.loop is None or not step:
            return Index()
        if self.begin is not None:
            return Index(0, (), ((self.begin, step),))
        return Index(0, ((self.loop, step * self.tile),))


def _joined(parts: Sequence[Index]) -> Index:
    return Index(
        sum(part.offset for part in parts),
        tuple(term for part in parts for term in part.terms),
        tuple(term for part in parts for term in part.dynamic),
    )


class _Builder:
    """Makes the kernel of one contraction; loops over tiles are told outermost first.

    Attributes:
        kept, summed, lanes: the axes, as in `Contract`.
    """

    def __init__(self) -> None:
        self.kept: list[Axis] = []
        self.summed: list[Axis] = []
        self.lanes = Axis(1, (1, 1, 0))
        self._walks: list[_Walk] = []
        self._start_steps: list[int] = []
        self._start_walks: list[tuple[_Walk, int]] = []

    def keep(self, size: int, tile: int, steps: Steps, start: int = 0) -> None:
        """An axis of the result, in tiles; ``start``: its step in what the sums begin with."""
        tile = min(tile, size)
        walk = _Walk(size, tile, steps)
        self._walks.append(walk)
        if start:
            self._start_walks.append((walk, start))
        if tile > 1:
            self.kept.append(Axis(tile, steps))
            self._start_steps.append(start)

    def turn(self) -> None:
        """Let the axes of a tile be walked the other way round than the tiles."""
        self.kept.reverse()
        self._start_steps.reverse()

    def along(self, size: int, tile: int, steps: Steps) -> None:
        """The axis of the result along which vectors lie."""
        tile = min(tile, size)
        self._walks.append(_Walk(size, tile, steps))
        self.lanes = Axis(tile, steps)

    def kernel(self, name: str, start: bool, work: tuple[float, float]) -> Kernel:
        """The kernel; the buffers are the factors, the start if there is one, the result."""
        first, second, result = [Buffer(float32, f"b{k}") for k in range(3)]
        places = [_joined([walk.index(k) for walk in self._walks]) for k in range(3)]
        begin: Any = None
        buffers = [first, second]
        if start:
            bias = Buffer(float32, "start")
            buffers.append(bias)
            index = _joined([walk.shifted(step) for walk, step in self._start_walks])
            begin = bias, index, tuple(self._start_steps)
        body: list[Any] = [
            Contract(
                (first, places[0]), (second, places[1]), (result, places[2]),
                self.kept, self.summed, self.lanes, begin,
            )
        ]  # fmt: skip
        loops = [walk.loop for walk in self._walks if walk.loop is not None]
        for loop in reversed(loops):
            body = [For(loop, body, parallel=loop is loops[0])]
        return Kernel(name, [*buffers, result], [result], [], body, *work)


# tiles -----------------------------------------------------------------------------------------


def _registers() -> int:
    """Sums of a tile at most: of 32 registers, or of 16, some hold the factors."""
    return 24 if vector_width() == 16 else 12


def _cycles(first: int, second: int) -> float:
    """Processor cycles for one turn of a tile of ``first`` by ``second`` sums.

    Two multiplications start in a cycle and take four cycles; two vectors are loaded in a cycle,
    of which those that do not begin at a cache line count twice, and some come from further away.
    """
    return max(first * second / 2, 0.75 * (first + second), 4.0) + 0.1 * (first + second)


def _best_tile(rows: int, columns: int, most: tuple[int, int], extra: float) -> tuple[int, int]:
    """The tile with which a result of ``rows`` by ``columns`` sums is computed fastest.

    Args:
        most: the largest tile in each direction.
        extra: cycles for each sum besides, in turns of the tile.
    """
    tiles = [
        (m, n)
        for m in range(1, min(most[0], rows) + 1) for n in range(1, min(most[1], columns) + 1)
        if m * n <= _registers() and m * n + min(m, n) < _registers() * 4 / 3
    ]  # fmt: skip

    def cost(tile: tuple[int, int]) -> float:
        m, n = tile
        count = ceil(rows / m) * ceil(columns / n)
        return count * (_cycles(m, n) + extra * m * n)

    return min(tiles, key=cost)


def _product_pays(m: int, n: int, k: int) -> bool:
    """Whether a product of this size is faster than oneDNN's.

    In microseconds on one core of a Zen 5 processor, oneDNN / here:

    - ``x Wᵀ``: 1x10x64 (rows, columns, sum): 1.1 / 0.4; 4x120x400: 4.2 / 2.1; 8x512x512: 34 / 20;
      32x64x64: 3.0 / 1.9; 32x128x784: 37 / 33; 64x100x1000: 66 / 55; 64x10x1000: 11.5 / 5.9;
      32x1000x128: 46 / 42; 64x512x512: 152 / 150; but 128x256x256: 71 / 78, 256x64x64: 10 / 13
    - ``x W``: 4x84x10: 1.1 / 0.4; 4x400x120: 2.9 / 2.1; 32x784x128: 27 / 26; 64x1000x100: 52 / 50;
      but 64x512x512: 135 / 171, 128x256x256: 69 / 87 (lines that share cache sets)
    - ``xᵀ y``: 10x84x4: 1.1 / 0.5; 120x400x4: 3.3 / 2.3; 100x1000x64: 53 / 50
    """
    return m * n * k <= MOST_PRODUCTS and k <= LONGEST_SUM


# matrices --------------------------------------------------------------------------------------


def _by_rows(m: int, n: int, k: int, steps: tuple[int, int], start: bool) -> Kernel:
    """``x Wᵀ``: vectors run along the axis that is summed over.

    Args:
        steps: from one row to the next in both factors.
        start: whether a vector is added to every row.
    """
    rows, columns = _best_tile(m, n, (8, 8), 2 * vector_width() / k)
    made = _Builder()
    made.keep(n, columns, (0, steps[1], 1), int(start))
    made.keep(m, rows, (steps[0], 0, n))
    made.turn()  # sums of one row side by side
    made.lanes = Axis(k, (1, 1, 0))
    return made.kernel("product", start, _work(m, n, k))


def _by_columns(m: int, n: int, k: int, second: tuple[int, int], step: int) -> Kernel:
    """``x W``: vectors run along the result's rows.

    Args:
        second: how far it is in ``x`` from row to row of the result, and along the sum.
        step: from one row of ``W`` to the next.
    """
    width = vector_width()
    rows, vectors = _best_tile(m, ceil(n / width), (8, 24), 0.0)
    made = _Builder()
    made.along(n, n if n <= vectors * width else vectors * width, (1, 0, 1))
    made.keep(m, rows, (0, second[0], n))
    made.summed.append(Axis(k, (step, second[1], 0)))
    return made.kernel("product", False, _work(m, n, k))


def _work(m: int, n: int, k: int) -> tuple[float, float]:
    return 2.0 * m * n * k, 4.0 * (m * n + m * k + n * k)


def _rows_of(meta: Meta | None) -> tuple[int, int] | None:
    """Size and step of the rows of a matrix whose rows are contiguous; leading axes are rows."""
    if meta is None or meta.ndim < 2 or meta.strides[-1] != 1 or meta.dtype is not float32:
        return None
    if meta.ndim > 2 and not meta.contiguous:
        return None
    return prod(meta.shape[:-1]), meta.strides[-2]


def _nt(spec: Spec, numbers: Sequence[int]) -> Contraction | None:
    """``x Wᵀ``, or with a third number ``x Wᵀ + b``."""
    x, w = [_rows_of(spec.inputs[k]) for k in numbers[:2]]
    start = len(numbers) > 2
    if x is None or w is None:
        return None
    if start:
        bias = spec.inputs[numbers[2]]
        assert bias is not None
        if tuple(bias.shape) != (w[0],) or bias.strides != (1,):
            return None
    k = spec.inputs[numbers[0]].shape[-1]  # type: ignore[union-attr]
    if not _product_pays(x[0], w[0], k) or (k < 128 and x[0] * w[0] > 4096):
        return None
    return Contraction(_by_rows(x[0], w[0], k, (x[1], w[1]), start), numbers)


def _nn(spec: Spec) -> Contraction | None:
    x, w = [_rows_of(meta) for meta in spec.inputs]
    if x is None or w is None:
        return None
    n = spec.out.shape[-1]
    if not _product_pays(x[0], n, w[0]) or (w[1] % 256 == 0 and x[0] > 8 and w[0] >= 128):
        return None
    return Contraction(_by_columns(x[0], n, w[0], (x[1], 1), w[1]), (1, 0))


def _tn(spec: Spec) -> Contraction | None:
    x, y = [_rows_of(meta) for meta in spec.inputs]
    if x is None or y is None:
        return None
    m, n = spec.out.shape
    if not _product_pays(m, n, x[0]) or (y[1] % 256 == 0 and m > 8 and x[0] >= 128):
        return None
    return Contraction(_by_columns(m, n, x[0], (1, x[1]), y[1]), (1, 0))


# convolutions ----------------------------------------------------------------------------------


def _plain(*metas: Meta | None) -> bool:
    return all(m is None or (m.contiguous and m.dtype is float32) for m in metas)


def _lanes_pay(lanes: int, channels: int, least: float) -> bool:
    """Whether vectors along an image's lines are used better than oneDNN's along channels.

    In microseconds on one core of a Zen 5 processor, 5x5 windows (3x3 from 16 channels on), oneDNN
    / here; "used" is the share of a vector that lines, and channels, fill:

    ==================================  ============  ==========  ==============
    pictures, channels, lines           used          forward     weights' grad.
    ==================================  ============  ==========  ==============
    4, 3 to 6, lines of 28              0.88 to 0.38   37 / 15      36 / 16
    64, 1 to 10, lines of 24            0.75 to 0.62  272 / 109    215 / 136
    64, 10 to 20, lines of 8            0.50 to 0.62  323 / 321    429 / 329
    4, 3 to 16, lines of 30             0.94 to 1.00   21 / 14      20 / 18
    16, 8 to 16, lines of 28            0.88 to 1.00  149 / 132    160 / 177
    16, 16 to 16, lines of 16           1.00 to 1.00   99 / 75      97 / 113
    32, 6 to 16, lines of 10            0.62 to 1.00   77 / 96      95 / 104
    ==================================  ============  ==========  ==============

    Gradients of images: 4, 6 channels from 16, lines of 14 (0.88 to 0.38): 25 / 12; 64, 10 from 20,
    lines of 12 (0.75 to 0.62): 518 / 313.
    """
    width = vector_width()
    ours = lanes / (ceil(lanes / width) * width)
    theirs = channels / (ceil(channels / width) * width)
    return ours >= least * theirs


def _simple(stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    return tuple(stride) == (1, 1) == tuple(dilation) and tuple(padding) == (0, 0) and groups == 1


def _work_of(y: Sequence[int], w: Sequence[int]) -> tuple[float, float]:
    return 2.0 * y[0] * prod(y[2:]) * prod(w), 8.0 * prod(y)


def _forward(
    spec: Spec, stride: Any, padding: Any, dilation: Any, transposed: bool, _: Any, groups: int
) -> Contraction | None:
    x, w, bias = spec.inputs
    assert x is not None
    assert w is not None
    if transposed or not _simple(stride, padding, dilation, groups) or x.ndim != 4:
        return None
    if not _plain(x, w, bias, spec.out):
        return None
    count, channels, height, width = spec.out.shape
    _, taken, rows, columns = x.shape
    down, across = w.shape[2:]
    if taken > MOST_CHANNELS or not _lanes_pay(width, channels, 0.75):
        return None
    vectors = ceil(width / vector_width())
    tile, lines = _best_tile(channels, height * vectors, (8, 8), 0.0)
    lines = max(1, lines // vectors)
    made = _Builder()
    made.keep(count, 1, (taken * rows * columns, 0, channels * height * width))
    made.keep(height, lines, (columns, 0, width))
    made.keep(channels, tile, (0, taken * down * across, height * width), int(bias is not None))
    made.turn()
    made.along(width, width, (1, 0, 1))
    made.summed = [
        Axis(taken, (rows * columns, down * across, 0)), Axis(down, (columns, across, 0)),
        Axis(across, (1, 1, 0)),
    ]  # fmt: skip
    numbers = (0, 1) if bias is None else (0, 1, 2)
    work = _work_of(spec.out.shape, w.shape)
    return Contraction(made.kernel("convolution", bias is not None, work), numbers)


def _weight_gradient(
    spec: Spec, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Contraction | None:
    x, g = spec.inputs
    assert x is not None
    assert g is not None
    if not _simple(stride, padding, dilation, groups) or x.ndim != 4:
        return None
    if not _plain(x, g, spec.out):
        return None
    count, channels, height, width = g.shape
    _, taken, rows, columns = x.shape
    down, across = shape[2:]
    least = 0.75 if taken <= 3 else 1.2
    if not _lanes_pay(width, channels, least) or x.numel + g.numel > MOST_PIXELS:
        return None
    if count * height * ceil(width / vector_width()) > LONGEST_SUM:
        return None
    tile, right = _best_tile(channels, across, (8, 8), 0.0)
    window = taken * down * across
    made = _Builder()
    made.keep(channels, tile, (0, height * width, window))
    made.keep(taken, 1, (rows * columns, 0, down * across))
    made.keep(down, 1, (columns, 0, across))
    made.keep(across, right, (1, 0, 1))
    made.lanes = Axis(width, (1, 1, 0))
    made.summed = [
        Axis(count, (taken * rows * columns, channels * height * width, 0)),
        Axis(height, (columns, width, 0)),
    ]
    return Contraction(made.kernel("gradient", False, _work_of(g.shape, tuple(shape))), (0, 1))


def _input_gradient(
    spec: Spec, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Contraction | None:
    g, w = spec.inputs
    assert g is not None
    assert w is not None
    if not _simple(stride, padding, dilation, groups) or g.ndim != 4:
        return None
    if not _plain(g, w, spec.out):
        return None
    count, channels, height, width = g.shape
    _, taken, rows, columns = shape
    down, across = w.shape[2:]
    if rows * ceil(columns / vector_width()) > _registers() or width == 1:
        return None
    if not _lanes_pay(columns, taken, 1.2):
        return None
    made = _Builder()
    made.keep(count, 1, (channels * height * width, 0, taken * rows * columns))
    made.keep(taken, 1, (0, down * across, rows * columns))
    lines, line = (width, height), (1, width)
    made.kept.append(Axis(rows, (width, 0, columns), edge=lines))
    made.lanes = Axis(columns, (1, 0, 1), edge=line)
    made.summed = [
        Axis(channels, (height * width, taken * down * across, 0)),
        Axis(across, (-1, 1, 0), True, line), Axis(down, (-width, across, 0), True, lines),
    ]  # fmt: skip
    return Contraction(made.kernel("gradient", False, _work_of(g.shape, w.shape)), (0, 1))


_RECIPES: Final[dict[str, Callable[..., Contraction | None]]] = {
    "linear_": lambda spec: _nt(spec, (1, 2, 0)),
    "linear_rows": lambda spec: _nt(spec, (1, 2, 0)),
    "matmul_nt": lambda spec: _nt(spec, (0, 1)),
    "matmul_nt_rows": lambda spec: _nt(spec, (0, 1)),
    "matmul_nn": _nn,
    "mm": _nn,
    "matmul_tn": _tn,
    "convolution": _forward,
    "convolution_input_grad": _input_gradient,
    "convolution_weight_grad": _weight_gradient,
}


def contraction_for(spec: Spec) -> Contraction | None:
    """An operator as a contraction, where that is faster than oneDNN."""
    make = _RECIPES.get(spec.op.name)
    if make is None or spec.out.dtype is not float32 or not spec.out.numel:
        return None
    if any(m is not None and (m.dtype is not float32 or not m.numel) for m in spec.inputs):
        return None
    return make(spec, *spec.attrs)
