"""``nn.utils``: clipping, vectors of parameters, normalised and parametrized weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import rushlight
from rushlight import nn
from tests.nn.both import compare


def with_gradients(torch: Any) -> list[Any]:
    made = [torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(3))]
    made[0].grad = torch.tensor([[3.0, -4.0], [0.5, 1.0]])
    made[1].grad = torch.tensor([2.0, -1.0, 0.0])
    return [*made, torch.nn.Parameter(torch.ones(1))]


@pytest.mark.parametrize(
    ("bound", "norm"), [(1.0, 2.0), (100.0, 2), (1.0, 1.0), (0.5, float("inf")), (1.0, 3.5)]
)
def test_clipping_by_norm(bound: float, norm: float) -> None:
    def run(torch: Any) -> Any:
        parameters = with_gradients(torch)
        total = torch.nn.utils.clip_grad_norm_(iter(parameters), bound, norm)
        return total, [p.grad for p in parameters]

    compare(run)


def clipping_by_value(torch: Any) -> Any:
    parameters = with_gradients(torch)
    result = torch.nn.utils.clip_grad_value_(parameters, 0.75)
    return result, [p.grad for p in parameters]


def not_finite(torch: Any) -> Any:
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([float("nan")])
    torch.nn.utils.clip_grad_norm_(parameter, 1.0, error_if_nonfinite=True)


def nothing_to_clip(torch: Any) -> Any:
    return torch.nn.utils.clip_grad_norm_((p for p in ()), 1.0)


def vectors(torch: Any) -> Any:
    module = torch.nn.Linear(2, 3)
    vector = torch.nn.utils.parameters_to_vector(module.parameters())
    torch.nn.utils.vector_to_parameters(torch.arange(9.0), module.parameters())
    return vector, module.state_dict(), module.weight.requires_grad


def old_weight_norm(torch: Any) -> Any:
    module = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    module(torch.ones(1, 3)).sum().backward()
    found = [module.state_dict(), module.weight_g.grad, module.weight_v.grad, repr(module)]
    torch.nn.utils.remove_weight_norm(module)
    return found, module.state_dict(), len(module._forward_pre_hooks)


def old_spectral_norm(torch: Any) -> Any:
    module = torch.nn.utils.spectral_norm(torch.nn.Conv1d(3, 2, 2), n_power_iterations=3)
    module(torch.ones(1, 3, 4)).sum().backward()
    found = [module.state_dict(), module.weight_orig.grad, dict(module.state_dict()._metadata)]
    module.eval()(torch.ones(1, 3, 4))
    torch.nn.utils.remove_spectral_norm(module)
    return found, module.state_dict()


def weight_norm(torch: Any) -> Any:
    module = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2), dim=None)
    module(torch.ones(1, 3)).sum().backward()
    module.weight = torch.ones(2, 3)
    found = [module, module.state_dict(), [p.grad for p in module.parameters()]]
    torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    return found, module.state_dict(), type(module).__name__


def spectral_norm(torch: Any) -> Any:
    module = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 2))
    module(torch.ones(1, 3)).sum().backward()
    return module, module.state_dict(), [p.grad for p in module.parameters()], module.eval().weight


def parametrized(torch: Any) -> Any:
    class Symmetric(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).t()

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    class Double(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

        def right_inverse(self, x: Any) -> Any:
            return x / 2

    parametrize = torch.nn.utils.parametrize
    module = torch.nn.Linear(3, 3)
    parametrize.register_parametrization(module, "weight", Symmetric())
    parametrize.register_parametrization(module, "weight", Double())
    module.weight = torch.ones(3, 3)
    with parametrize.cached():
        same = module.weight is module.weight
    (module(torch.ones(1, 3)) ** 2).sum().backward()
    copied = copy.deepcopy(module).weight
    names = [type(module).__name__, parametrize.type_before_parametrizations(module).__name__]
    found = [module, module.weight, module.parametrizations.weight.original.grad, same, names]
    parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    return found, module.state_dict(), copied, parametrize.is_parametrized(module)


def wrong_parametrization(torch: Any) -> Any:
    module = torch.nn.Linear(2, 2)
    torch.nn.utils.parametrize.register_parametrization(module, "nothing", torch.nn.ReLU())


PROGRAMS = [
    clipping_by_value, not_finite, nothing_to_clip, vectors, old_weight_norm, old_spectral_norm,
    weight_norm, spectral_norm, parametrized, wrong_parametrization,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program, raises=program in (not_finite, wrong_parametrization))


def functional_call(torch: Any) -> Any:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    tensors = {"0.weight": torch.ones(2, 2), "1.running_mean": torch.ones(2)}
    call = torch.func.functional_call if hasattr(torch, "func") else None
    call = torch.nn.utils.stateless.functional_call if call is None else call
    y = call(module, tensors, (torch.tensor([[1.0, 2.0], [3.0, 5.0]]),))
    return y, module.state_dict()


def test_functional_call() -> None:
    compare(functional_call)


def test_functional_call_checks_names() -> None:
    module = nn.Linear(2, 2)
    call = nn.utils.stateless.functional_call
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'bias'"):
        call(module, {"weight": rushlight.ones(2, 2)}, rushlight.ones(1, 2), strict=True)
    with pytest.raises(AttributeError, match="Linear has no attribute `other`"):
        call(module, {"other": rushlight.ones(2, 2)}, rushlight.ones(1, 2))


def test_fusion() -> None:
    conv, norm = nn.ConvTranspose2d(2, 3, 2, bias=False), nn.BatchNorm2d(3)
    norm(rushlight.randn(4, 3, 2, 2))
    conv.eval(), norm.eval()
    x = rushlight.randn(1, 2, 3, 3)
    fused = nn.utils.fuse_conv_bn_eval(conv, norm, transpose=True)
    assert (fused(x) - norm(conv(x))).abs().max() < 1e-5
    linear, norm = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3).eval()
    fused = nn.utils.fuse_linear_bn_eval(linear, norm)
    x = rushlight.randn(5, 2)
    assert (fused(x) - norm(linear(x))).abs().max() < 1e-5
    with pytest.raises(AssertionError, match="Fusion only for eval"):
        nn.utils.fuse_linear_bn_eval(linear.train(), norm)


def test_skipping_initialisation() -> None:
    rushlight.manual_seed(3)
    before = rushlight.get_rng_state()
    nn.utils.skip_init(nn.Linear, 3, 4)
    assert (rushlight.get_rng_state() == before).all()
    with pytest.raises(RuntimeError, match="Expected a Module"):
        nn.utils.skip_init(int)
