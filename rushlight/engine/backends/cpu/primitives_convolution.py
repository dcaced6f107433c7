"""Convolutions and their gradients as primitives of compiled programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    BLOCKED,
    FORWARD,
    Geometry,
    choose_layout,
    describe,
)
from rushlight.engine.backends.cpu.onednn_prepared import Port
from rushlight.engine.backends.cpu.onednn_primitive import (
    any_layout,
    attributes_for,
    channels_last_strides,
    contiguous_strides,
    strided,
)
from rushlight.engine.backends.cpu.primitives_recipe import (
    SINGLE,
    Epilogue,
    Part,
    Recipe,
    split,
)
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import Spec


def _same_places(shape: Sequence[int], one: Sequence[int], other: Sequence[int]) -> bool:
    return all(a == b for n, a, b in zip(shape, one, other, strict=True) if n > 1)


def _tidy(meta: Meta) -> tuple[int, ...]:
    """Its strides, those of axes of size one as in the usual layouts."""
    shape = tuple(meta.shape)
    usual = (contiguous_strides(shape), channels_last_strides(shape))
    return next((u for u in usual if _same_places(shape, meta.strides, u)), tuple(meta.strides))


def _port(kind: int, meta: Meta, output: bool = False) -> Port:
    strides = _tidy(meta)
    return Port(kind, meta.shape, SINGLE, output, strides=strides)


def _weights(kind: int, meta: Meta, geometry: Geometry, output: bool = False) -> Port:
    steps = meta.strides
    seen = geometry.w_descriptor(steps)
    return Port(kind, meta.shape, SINGLE, output, strides=steps, descriptor=seen)


def _meta(spec: Spec, number: int) -> Meta:
    found = spec.inputs[number]
    assert found is not None
    return found


class _Steps:
    """What follows a convolution, for oneDNN, with the arrays it reads."""

    def __init__(self, spec: Spec, epilogue: Epilogue) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.ports: list[Port] = []
        self.parts: list[Part] = []
        shape = tuple(spec.out.shape)
        for position, step in enumerate(epilogue):
            if step[0] not in ("add", "mul"):
                self.steps.append(step)
                continue
            meta: Meta = step[1]
            lacking = len(shape) - meta.ndim
            size = (1,) * lacking + tuple(meta.shape)
            strides = (0,) * lacking + tuple(meta.strides)
            seen = tuple(n if s else 1 for n, s in zip(size, strides, strict=True))
            plain = contiguous_strides(seen)
            steps = [s if n > 1 else p for n, s, p in zip(seen, strides, plain, strict=True)]
            outside = strided(seen, SINGLE, steps)
            self.steps.append((step[0], any_layout(seen, SINGLE) if seen == shape else outside))
            kind = onednn.POST_OPERATION * (position + 1) | onednn.SECOND_SOURCE
            self.ports.append(
                Port(kind, meta.shape, SINGLE, strides=meta.strides, descriptor=outside)
            )
            self.parts.append((len(spec.inputs) + len(self.parts), meta))


def _recipe(
    geometry: Geometry,
    direction: str,
    bias: bool,
    ports: list[Port],
    parts: tuple[list[Part], list[Part]],
    epilogue: Epilogue,
    follow: _Steps | None,
) -> Recipe:
    """In the layout that pays, or where oneDNN lacks that, in its own choice."""
    geometry.check()
    accumulates = split(epilogue)[1]
    chosen = choose_layout(geometry, direction)
    for layout in dict.fromkeys((chosen, BLOCKED)):
        attributes = attributes_for(follow.steps) if follow is not None and epilogue else None

        def make(layout: str = layout, attributes: Any = attributes) -> Any:
            return describe(geometry, direction, bias, layout, attributes)

        made = Recipe(make, ports, *parts, geometry.microseconds, accumulates)
        try:
            made.describe()
        except onednn.Unsupported:
            if layout == BLOCKED:
                raise
            continue
        return made
    raise AssertionError("unreachable")


def forward_recipe(
    spec: Spec, epilogue: Epilogue, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> Recipe:  # fmt: skip
    """A convolution, plain or transposed."""
    x, weight, bias = _meta(spec, 0), _meta(spec, 1), spec.inputs[2]
    g = Geometry(
        tuple(x.shape), tuple(weight.shape), stride, padding, dilation, groups, SINGLE, transposed,
        tuple(output_padding) if transposed else (),
    )  # fmt: skip
    inputs: list[Part] = [(0, x), (1, weight)]
    ports = [_port(onednn.SRC, x), _weights(onednn.WEIGHTS, weight, g)]
    if bias is not None:
        inputs.append((2, bias))
        ports.append(Port(onednn.BIAS, bias.shape, SINGLE, strides=bias.strides))
    follow = _Steps(spec, epilogue)
    inputs += follow.parts
    result = _port(onednn.DST, spec.out, True)
    result.accumulates = split(epilogue)[1]
    ports += [*follow.ports, result]
    outputs: list[Part] = [(0, spec.out)]
    return _recipe(g, FORWARD, bias is not None, ports, (inputs, outputs), epilogue, follow)


def input_grad_recipe(
    spec: Spec, epilogue: Epilogue, shape: Shape, stride: Shape, padding: Shape, dilation: Shape,
    groups: int,
) -> Recipe:  # fmt: skip
    """The gradient of a convolution's input."""
    grad, weight = _meta(spec, 0), _meta(spec, 1)
    if epilogue:
        raise onednn.Unsupported("nothing can follow an input gradient")
    g = Geometry(shape, tuple(weight.shape), stride, padding, dilation, groups, SINGLE)
    ports = [
        _port(onednn.DIFF_DST, grad), _weights(onednn.WEIGHTS, weight, g),
        _port(onednn.DIFF_SRC, spec.out, True),
    ]  # fmt: skip
    parts: tuple[list[Part], list[Part]] = [(0, grad), (1, weight)], [(0, spec.out)]
    return _recipe(g, BACKWARD_DATA, False, ports, parts, (), None)


def weight_grad_recipe(
    spec: Spec, epilogue: Epilogue, shape: Shape, stride: Shape, padding: Shape, dilation: Shape,
    groups: int,
) -> Recipe:  # fmt: skip
    """The gradient of a convolution's weights, and of its bias if asked for."""
    x, grad = _meta(spec, 0), _meta(spec, 1)
    if epilogue not in ((), (("bias_gradient",),)):
        raise onednn.Unsupported("only the bias's gradient can be computed with a weight's")
    bias = bool(epilogue)
    g = Geometry(tuple(x.shape), tuple(shape), stride, padding, dilation, groups, SINGLE)
    ports = [
        _port(onednn.SRC, x), _port(onednn.DIFF_DST, grad),
        _weights(onednn.DIFF_WEIGHTS, spec.out, g, True),
    ]  # fmt: skip
    outputs: list[Part] = [(0, spec.out)]
    if bias:
        meta = make_meta((g.channels_out,), spec.out.dtype)
        outputs.append((1, meta))
        ports.append(Port(onednn.DIFF_BIAS, meta.shape, SINGLE, True))
    parts: tuple[list[Part], list[Part]] = [(0, x), (1, grad)], outputs
    return _recipe(g, BACKWARD_WEIGHTS, bias, ports, parts, (), None)
