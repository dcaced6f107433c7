"""``nn.init``: the same numbers from the same seed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nn.both import compare

CALLS = [
    ("uniform_", (3, 4), {}),
    ("uniform_", (40,), {"a": -1.0, "b": 2.0}),
    ("normal_", (5, 7), {"mean": 1.0, "std": 0.5}),
    ("normal_", (3,), {}),
    ("trunc_normal_", (6, 7), {}),
    ("trunc_normal_", (50,), {"mean": 0.5, "std": 2.0, "a": -1.0, "b": 1.5}),
    ("trunc_normal_", (20,), {"a": 2.5, "b": 4.0}),
    ("constant_", (2, 3), {"val": 0.3}),
    ("ones_", (2,), {}),
    ("zeros_", (2,), {}),
    ("eye_", (3, 4), {}),
    ("eye_", (3,), {}),
    ("dirac_", (4, 2, 3), {}),
    ("dirac_", (4, 2, 3, 3), {"groups": 2}),
    ("dirac_", (2, 2, 3, 3, 3), {}),
    ("dirac_", (3, 2, 3), {"groups": 2}),
    ("dirac_", (3, 2), {}),
    ("xavier_uniform_", (3, 5), {"gain": 2.0}),
    ("xavier_normal_", (3, 5, 2), {}),
    ("xavier_normal_", (3,), {}),
    ("kaiming_uniform_", (3, 5, 2, 2), {}),
    ("kaiming_uniform_", (3, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_uniform_", (3, 5), {"mode": "fan"}),
    ("kaiming_uniform_", (3, 5), {"nonlinearity": "soft"}),
    ("kaiming_normal_", (3, 5), {"a": 0.3}),
    ("kaiming_normal_", (0, 5), {}),
    ("orthogonal_", (3, 5), {}),
    ("orthogonal_", (5, 3, 2), {"gain": 2.0}),
    ("orthogonal_", (5,), {}),
    ("sparse_", (6, 4), {"sparsity": 0.5}),
    ("sparse_", (6,), {"sparsity": 0.5}),
    ("kaiming_normal", (4, 4), {}),
]


@pytest.mark.parametrize(
    ("name", "shape", "options"), CALLS, ids=[f"{i}-{c[0]}" for i, c in enumerate(CALLS)]
)
def test_filling(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    def fill(torch: Any) -> Any:
        parameter = torch.nn.Parameter(torch.empty(shape))
        result = getattr(torch.nn.init, name)(parameter, **options)
        after = torch.rand(2)
        return result is parameter, parameter, parameter.requires_grad, after

    exact = name.rstrip("_") not in ("trunc_normal", "orthogonal")
    compare(fill, tolerance=0 if exact else 1e-5, warned=True, raises=None)


@pytest.mark.parametrize(
    "call",
    [
        ("linear",), ("conv_transpose2d",), ("sigmoid",), ("tanh",), ("relu",), ("selu",),
        ("leaky_relu",), ("leaky_relu", 2), ("leaky_relu", True), ("softmax",),
    ],
)  # fmt: skip
def test_gains(call: tuple[Any, ...]) -> None:
    compare(lambda torch: float(torch.nn.init.calculate_gain(*call)), raises=None)
