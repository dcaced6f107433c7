"""Operator records: what a schema says, how a call is specialised, which kernel is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.engine.core.dtype import float32
from rushlight.engine.ir import op as records
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import (
    OTHER,
    POINTWISE,
    Composite,
    Op,
    Spec,
    composite,
    constant,
    register_kernel,
)


@pytest.fixture(autouse=True)
def untouched_registries() -> Iterator[None]:
    """Records made here are gone afterwards."""
    before = dict(Op.registry), dict(Composite.registry)
    yield
    for registry, kept in zip((Op.registry, Composite.registry), before, strict=True):
        for name in set(registry) - set(kept):
            del registry[name]  # type: ignore[attr-defined]
            records.backend_kernels.pop(name, None)


def make(schema: str = "twice_of(Tensor input, int times=2, str how)", **fields: Any) -> Op:
    fields.setdefault("kind", POINTWISE)
    fields.setdefault("infer", lambda input, times, how: input)
    fields.setdefault("kernel", lambda spec, times, how: lambda x: x * times)
    return Op(schema, **fields)


META = make_meta((2, 3), float32)


def test_a_schema_names_tensors_and_attributes() -> None:
    op = make(
        "some_op(Tensor input, Tensor? bias, int[] size=(), float p=1.0, bool on=True, str s)"
    )
    assert op.name == op.public_name == "some_op"
    assert op.input_names == ("input", "bias")
    assert op.attr_names == ("size", "p", "on", "s")
    assert op.attr_defaults == {"size": (), "p": 1.0, "on": True}
    assert not op.variadic


def test_a_schema_may_take_any_number_of_tensors() -> None:
    assert make("many(Tensor[] tensors, int dim)").variadic
    assert make("nothing()").input_names == ()


def test_attributes_are_packed_in_order_with_defaults() -> None:
    op = make()
    assert op.pack({"how": "x"}) == (2, "x")
    assert op.pack({"how": "x", "times": 3}) == (3, "x")
    with pytest.raises(TypeError, match="twice_of: missing attribute 'how'"):
        op.pack({})


def test_a_name_is_recorded_once() -> None:
    make()
    with pytest.raises(ValueError, match="'twice_of' is recorded twice"):
        make()
    composite(name="only_once", namespaces=("linalg",))(lambda input: input)
    with pytest.raises(ValueError, match=r"'linalg.only_once' is recorded twice"):
        composite(name="only_once", namespaces=("linalg",))(lambda input: input)
    composite(name="only_once", namespaces=("fft",))(lambda input: input)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("log_softmax", "LogSoftmax"), ("mse_loss_", "MseLoss"), ("add", "Add")],
)
def test_the_name_of_the_gradient_follows_from_the_operators(name: str, wanted: str) -> None:
    before = dict(Op.registry)
    Op.registry.pop(name, None)
    try:
        assert make(f"{name}(Tensor input, int times, str how)").grad_name == wanted
    finally:
        Op.registry.clear()
        Op.registry.update(before)


def test_a_given_name_of_the_gradient_is_kept() -> None:
    assert make(grad_name="SumBackward1").grad_name == "SumBackward1"


def test_equal_calls_share_a_spec() -> None:
    op = make()
    one = op.specialize((META,), (2, "a"))
    assert op.specs[(META,), (2, "a")] is one
    assert one.out is META
    assert one.outs == (META,)
    assert one.attr("how") == "a"
    assert "twice_of" in repr(one)
    assert "times=2" in repr(one)


def test_the_table_of_specs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_SPECS", 3)
    op = make()
    for times in range(20):
        op.specialize((META,), (times, "a"))
    assert len(op.specs) <= 5


def test_errors_of_infer_are_the_callers() -> None:
    def infer(input: Meta, times: int, how: str) -> Meta:
        raise RuntimeError("does not fit")

    op = make(infer=infer)
    with pytest.raises(RuntimeError, match="does not fit"):
        op(rushlight.ones(2), how="x")
    assert not op.specs


def test_a_call_records_and_computes() -> None:
    op = make()
    assert op(rushlight.ones(2), times=3, how="x").tolist() == [3.0, 3.0]
    assert op.fixed(4, "x")(rushlight.ones(1)).tolist() == [4.0]
    assert op.fixed(4, "x") is op.fixed(4, "x")
    assert repr(op) == "<Op twice_of>"


def test_several_outputs_come_as_a_tuple() -> None:
    op = Op(
        "both_halves(Tensor input)",
        kind=OTHER,
        infer=lambda input: (input, input),
        kernel=lambda spec: lambda x: (x / 2, x - x / 2),
    )
    first, second = op(rushlight.ones(2))
    assert (first + second).tolist() == [1.0, 1.0]


def test_the_kernel_is_prepared_once_and_late() -> None:
    prepared: list[Spec] = []

    def kernel(spec: Spec, times: int, how: str) -> Any:
        prepared.append(spec)
        return lambda x: x * times

    op = make(kernel=kernel)
    spec = op.specialize((META,), (2, "a"))
    assert not prepared
    assert spec.kernel is spec.kernel
    assert prepared == [spec]


def test_a_backends_kernel_comes_first_and_may_decline() -> None:
    op = make()

    @register_kernel("twice_of")
    def faster(spec: Spec, times: int, how: str) -> Any:
        return None if how == "slow" else lambda x: np.full_like(x, 7)

    x = np.ones((2, 3), np.float32)
    assert op.specialize((META,), (2, "fast")).kernel(x)[0, 0] == 7
    assert op.specialize((META,), (2, "slow")).kernel(x)[0, 0] == 2


def test_formulas_are_found_by_the_names_of_their_parameters() -> None:
    op = Op(
        "product_of(Tensor input, Tensor other, float scale)",
        kind=POINTWISE,
        infer=lambda input, other, scale: input,
        kernel=lambda spec, scale: lambda x, y: x * y * scale,
        grad={
            "input": lambda g, other, scale: g * other * scale,
            "other": lambda g, input, scale: g * input * scale,
        },
    )
    x = rushlight.tensor([2.0], requires_grad=True)
    y = rushlight.tensor([3.0], requires_grad=True)
    z = op(x, y, scale=2.0)
    assert type(z.grad_fn).__name__ == "ProductOfBackward0"
    z.backward()
    assert (x.grad.item(), y.grad.item()) == (6.0, 4.0)


def test_an_input_called_result_is_an_input() -> None:
    op = Op(
        "from_result(Tensor g_out, Tensor result)",
        kind=POINTWISE,
        infer=lambda g_out, result: g_out,
        kernel=lambda spec: lambda g, y: g * y,
        grad={"g_out": lambda g, result: g * result, "result": lambda g, g_out: g * g_out},
    )
    g = rushlight.tensor([2.0], requires_grad=True)
    y = rushlight.tensor([5.0], requires_grad=True)
    op(g, y).backward()
    assert (g.grad.item(), y.grad.item()) == (5.0, 2.0)


def test_a_refused_input_raises_at_the_call() -> None:
    op = Op(
        "weighted_by(Tensor input, Tensor weight)",
        kind=POINTWISE,
        infer=lambda input, weight: input,
        kernel=lambda spec: lambda x, w: x * w,
        grad={"input": lambda g, weight: g * weight, "weight": "weighted_by"},
    )
    x, w = rushlight.ones(1, requires_grad=True), rushlight.ones(1)
    op(x, w).backward()
    with pytest.raises(RuntimeError, match="'weighted_by' is not differentiable with respect to"):
        op(x, w.requires_grad_())


def test_an_unknown_parameter_is_an_error_of_the_record() -> None:
    op = Op(
        "half_written(Tensor input)",
        kind=POINTWISE,
        infer=lambda input: input,
        kernel=lambda spec: lambda x: x,
        grad={"input": lambda g, strength: g * strength},
    )
    with pytest.raises(ValueError, match="half_written: gradient formula asks for unknown"):
        op(rushlight.ones(1, requires_grad=True))


def test_a_constant_owns_its_array() -> None:
    array = np.arange(3.0)
    made = constant(array)
    assert made._array() is array
    assert (made + 1).tolist() == [1.0, 2.0, 3.0]


def test_a_composite_keeps_its_function_and_its_face() -> None:
    @composite(name="own_name", namespaces=("special",), method="as_method", inplace=True)
    def function(input: Any) -> Any:
        """Words."""
        return input

    record = Composite.registry["special.own_name"]
    assert record.function is function
    assert (record.public_name, record.method_name, record.inplace) == (
        "own_name", "as_method", True,
    )  # fmt: skip
    assert record.doc == "Words."
