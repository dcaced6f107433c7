"""Convolutions of few pixels as matrix products on the weights where they lie.

Note: weights that outweigh the pictures
    A convolution of oneDNN's first copies the weights into a layout of its own, and copies their
    gradient back. Late in a network a few pixels meet millions of weights: then copying takes
    many times longer than computing. As a matrix (channels out, channels in times window) the
    weights are used as they lie; what has to be laid out anew are the pixels under the windows
    (the columns), which are few.

    In microseconds on one core of a Zen 5 processor, windows of 3x3, as a convolution in the best
    of its layouts / as a product:

    =====================================  =========  ==============  ================
    channels in, out, pictures, pixels of  forward    input gradient  weight gradient
    =====================================  =========  ==============  ================
    512, 512, 16 of 1x1                    966 / 595       941 / 378        4080 / 381
    256, 512, 16 of 2x2, stride 2          573 / 252       721 / 170        1306 / 179
    256, 256, 16 of 2x2                    453 / 417       394 / 370         860 / 381
    512, 512, 8 of 2x2                    1449 / 927      1659 / 825        1810 / 904
    512, 512, 1 of 7x7                   1620 / 1447     1515 / 1311       1302 / 1297
    128, 128, 1 of 4x4                       51 / 34         50 / 32           46 / 26
    512, 512, 1 of 1x1                     678 / 102        689 / 94         194 / 131
    64, 64, 1 of 8x8                         24 / 31         25 / 34           26 / 29
    128, 128, 16 of 4x4                    251 / 446       252 / 495         320 / 451
    256, 256, 1 of 14x14                 1034 / 1462     1000 / 1462       1168 / 1490
    =====================================  =========  ==============  ================
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    FORWARD,
    Geometry,
)
from rushlight.engine.backends.cpu.onednn_matmul import Operand
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    Memory,
    attributes_for,
    channels_last_strides,
    contiguous_strides,
    strided,
)
from rushlight.engine.backends.cpu.primitives_assembly import Assembly
from rushlight.engine.backends.cpu.primitives_matmul import descriptions, prefers_gemm
from rushlight.engine.backends.cpu.primitives_recipe import SINGLE, Epilogue
from rushlight.engine.ir.graph import Meta

#: Pixels of all results together up to which, and weights from which on a product is faster.
MOST_ROWS: Final = 64
LEAST_WEIGHTS: Final = 100_000


def pays(g: Geometry) -> bool:
    """Whether the weights outweigh the pixels so far that a product is faster."""
    if g.groups > 1 or g.transposed or len(g.x_shape) != 4:
        return False
    rows = g.x_shape[0] * prod(g.y_shape[2:])
    return g.volume > 1 and rows <= MOST_ROWS and prod(g.w_shape) >= LEAST_WEIGHTS


def _at(shape: Sequence[int], strides: Sequence[int]) -> Descriptor:
    plain = contiguous_strides(shape)
    steps = [s if n > 1 else p for n, s, p in zip(shape, strides, plain, strict=True)]
    return strided(shape, SINGLE, steps)


class Columns:
    """A convolution of two dimensions as a product.

    Args:
        geometry: the convolution.
        image, result, weights: the metas of input, result (or their gradients) and weights.
    """

    def __init__(self, geometry: Geometry, image: Meta, result: Meta, weights: Meta) -> None:
        g = self.geometry = geometry
        self.image, self.result = image, result
        if tuple(weights.strides) != contiguous_strides(g.w_shape):
            raise onednn.Unsupported("weights that are not contiguous")
        self.window = tuple(g.w_shape[2:])
        self.pixels = tuple(g.y_shape[2:])
        self.rows = g.x_shape[0] * prod(self.pixels)
        self.inner = g.channels_in * g.volume
        height, width = self.pixels
        reach = [(n - 1) * d + 1 for n, d in zip(self.window, g.dilation, strict=True)]
        self.padded = tuple(
            max((out - 1) * s + r, n + p)
            for out, s, r, n, p in zip(
                (height, width), g.stride, reach, g.x_shape[2:], g.padding, strict=True
            )
        )

    # the arrays as matrices --------------------------------------------------------------------

    def _image(self) -> Descriptor:
        return _at(self.geometry.x_shape, self.image.strides)

    def _result(self) -> tuple[Descriptor, bool]:
        """The result's memory, and whether its channels lie innermost, as a product makes them."""
        shape, strides = self.geometry.y_shape, tuple(self.result.strides)
        wanted = channels_last_strides(shape)
        last = all(a == b for n, a, b in zip(shape, strides, wanted, strict=True) if n > 1)
        return _at(shape, strides), last

    def _matrix(self, rows: int, columns: int) -> Descriptor:
        return strided((rows, columns), SINGLE)

    def _turned(self, rows: int, columns: int) -> Descriptor:
        """A matrix (columns, rows) in memory seen the other way round."""
        return strided((rows, columns), SINGLE, (1, rows))

    def _rows_of_result(self) -> tuple[int, int]:
        return self.rows, self.geometry.channels_out

    # the columns -------------------------------------------------------------------------------

    def _columns(self, assembly: Assembly, image: Memory) -> Memory:
        """The pixels under every window, as a matrix (pixels of the result, C times window)."""
        g = self.geometry
        batch, channels = g.x_shape[:2]
        size = 4 * batch * channels * prod(self.padded)
        steps = contiguous_strides((batch, channels, *self.padded))
        base = assembly.keep(size)  # the edges stay zero
        start = 4 * (g.padding[0] * steps[2] + g.padding[1])
        inner = _at(g.x_shape, steps)
        assembly.copy((self._image(), image), (inner, assembly.kept(inner, base + start)))
        matrix = self._matrix(self.rows, self.inner)
        if prod(self.pixels) == 1 and self.padded == self.window:
            return assembly.kept(matrix, base)
        offset = assembly.reserve(4 * self.rows * self.inner)
        for tap, (across, along) in self._taps():
            source = _at(self._tapped(), self._tap_strides(steps))
            place = base + 4 * (across * steps[2] + along)
            target = _at(self._tapped(), self._column_strides())
            assembly.copy(
                (source, assembly.kept(source, place)),
                (target, assembly.inside(target, offset + 4 * tap)),
            )
        return assembly.inside(matrix, offset)

    def _taps(self) -> list[tuple[int, tuple[int, int]]]:
        """The places of the window: their numbers and distances from its beginning."""
        down, right = self.geometry.dilation
        height, width = self.window
        return [(i * width + j, (i * down, j * right)) for i in range(height) for j in range(width)]

    def _tapped(self) -> tuple[int, ...]:
        """One place of all windows: (N, C, height, width)."""
        return (*self.geometry.x_shape[:2], *self.pixels)

    def _tap_strides(self, steps: Sequence[int]) -> tuple[int, ...]:
        down, right = self.geometry.stride
        return steps[0], steps[1], down * steps[2], right * steps[3]

    def _column_strides(self) -> tuple[int, ...]:
        height, width = self.pixels
        row = self.inner
        return height * width * row, self.geometry.volume, width * row, row

    # the three products ------------------------------------------------------------------------

    def assemble(self, direction: str, bias: bool, epilogue: Epilogue, count: int) -> Assembly:
        """The primitives, made for ``count`` threads."""
        made = Assembly(count)
        if direction == FORWARD:
            self._forward(made, bias, epilogue)
        elif direction == BACKWARD_DATA:
            self._input_gradient(made)
        else:
            self._weight_gradient(made)
        return made

    def _product(
        self, a: Descriptor, b: Descriptor, y: Descriptor, shapes: Sequence[Operand],
        bias: Descriptor | None = None, epilogue: Epilogue = (),
    ) -> Description:  # fmt: skip
        return descriptions((a, b, bias, y), epilogue, prefers_gemm(*shapes))()

    def _forward(self, made: Assembly, bias: bool, epilogue: Epilogue) -> None:
        rows, channels = self._rows_of_result()
        image = made.outside(self._image())
        b = self._turned(self.inner, channels)
        weights = made.outside(b)
        summand = self._matrix(1, channels) if bias else None
        memories: dict[int, Memory] = {onednn.WEIGHTS: weights}
        if summand is not None:
            memories[onednn.BIAS] = made.outside(summand)
        seen, last = self._result()
        a, y = self._matrix(rows, self.inner), self._matrix(rows, channels)
        result = made.outside(y if last else seen)
        shapes = _operand(rows, self.inner), _operand(self.inner, channels, True)
        product = self._product(a, b, y, shapes, summand, epilogue)
        memories[onednn.SRC] = self._columns(made, image)
        if last:
            made.run(product, {**memories, onednn.DST: result})
            return
        offset = made.reserve(4 * rows * channels)
        made.run(product, {**memories, onednn.DST: made.inside(y, offset)})
        moved = _at(self.geometry.y_shape, channels_last_strides(self.geometry.y_shape))
        made.copy((moved, made.inside(moved, offset)), (seen, result))

    def _gradient(self, made: Assembly, matrix: Descriptor) -> Memory:
        """The result's gradient, to be seen as ``matrix``; copied if its channels do not allow."""
        seen, last = self._result()
        if last:
            return made.outside(matrix)
        given = made.outside(seen)
        offset = made.reserve(4 * prod(self._rows_of_result()))
        moved = _at(self.geometry.y_shape, channels_last_strides(self.geometry.y_shape))
        made.copy((seen, given), (moved, made.inside(moved, offset)))
        return made.inside(matrix, offset)

    def _input_gradient(self, made: Assembly) -> None:
        g = self.geometry
        rows, channels = self._rows_of_result()
        a, b = self._matrix(rows, channels), self._matrix(channels, self.inner)
        gradient = self._gradient(made, a)
        weights = made.outside(b)
        image = made.outside(self._image())
        y = self._matrix(rows, self.inner)
        offset = made.reserve(4 * rows * self.inner)
        shapes = _operand(rows, channels), _operand(channels, self.inner)
        made.run(
            self._product(a, b, y, shapes),
            {onednn.SRC: gradient, onednn.WEIGHTS: weights, onednn.DST: made.inside(y, offset)},
        )
        steps = contiguous_strides((*g.x_shape[:2], *self.window))
        if prod(self.pixels) == 1 and self._inside_window():
            start = offset + 4 * (g.padding[0] * steps[2] + g.padding[1])
            source = _at(g.x_shape, steps)
            made.copy((source, made.inside(source, start)), (self._image(), image))
            return
        self._add_up(made, offset, image)

    def _inside_window(self) -> bool:
        """Whether the only window covers the whole image."""
        g = self.geometry
        rows = zip(g.x_shape[2:], g.padding, self.window, g.dilation, strict=True)
        return all(n + p <= k and d == 1 for n, p, k, d in rows)

    def _add_up(self, made: Assembly, columns: int, image: Memory) -> None:
        """Every pixel's sum over the windows it lies under."""
        g = self.geometry
        batch, channels = g.x_shape[:2]
        shape = (batch, channels, *self.padded)
        steps = contiguous_strides(shape)
        whole = strided(shape, SINGLE)
        zeros = made.keep(4 * prod(shape))
        base = made.reserve(4 * prod(shape))
        made.copy((whole, made.kept(whole, zeros)), (whole, made.inside(whole, base)))
        onto = attributes_for((("sum",),))
        for tap, (across, along) in self._taps():
            source = _at(self._tapped(), self._column_strides())
            target = _at(self._tapped(), self._tap_strides(steps))
            place = base + 4 * (across * steps[2] + along)
            made.copy(
                (source, made.inside(source, columns + 4 * tap)),
                (target, made.inside(target, place)), onto,
            )  # fmt: skip
        inner = _at(g.x_shape, steps)
        start = base + 4 * (g.padding[0] * steps[2] + g.padding[1])
        made.copy((inner, made.inside(inner, start)), (self._image(), image))

    def _weight_gradient(self, made: Assembly) -> None:
        rows, channels = self._rows_of_result()
        image = made.outside(self._image())
        a, b = self._turned(channels, rows), self._matrix(rows, self.inner)
        y = self._matrix(channels, self.inner)
        gradient, weights = self._gradient(made, a), made.outside(y)
        shapes = _operand(channels, rows, True), _operand(rows, self.inner)
        product = self._product(a, b, y, shapes)
        columns = self._columns(made, image)
        made.run(product, {onednn.SRC: gradient, onednn.WEIGHTS: columns, onednn.DST: weights})


def _operand(rows: int, columns: int, turned: bool = False) -> Operand:
    return Operand((rows, columns), (1, rows) if turned else (columns, 1), 2)
