"""Hooks on modules: forward, backward, registration, state."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight
from rushlight import nn
from rushlight.nn.modules import hooks
from tests.nn.both import compare


def numbers(value: Any) -> Any:
    """Tensors inside tuples as lists."""
    if value is None:
        return None
    return value.tolist() if hasattr(value, "tolist") else [numbers(item) for item in value]


def model(torch: Any) -> Any:
    """Two linear layers with weights that are easy to follow by hand."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 2.0], [-3.0, -4.0], [5.0, 6.0]]))
        module[0].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
        module[2].weight.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        module[2].bias.fill_(0.5)
    return module


def forward_hooks(torch: Any) -> Any:
    module, seen = model(torch), []
    handles = [
        module[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,)),
        module[0].register_forward_pre_hook(lambda m, args: seen.append(numbers(args))),
        module[0].register_forward_hook(lambda m, args, y: seen.append(["first", numbers(y)])),
        module[0].register_forward_hook(lambda m, args, y: y + 1, prepend=True),
        module[2].register_forward_hook(
            lambda m, args, kwargs, y: seen.append([str(kwargs), numbers(y)]), with_kwargs=True
        ),
    ]
    y = module(torch.ones(1, 2))
    for handle in handles:
        handle.remove()
    return seen, y, module(torch.ones(1, 2)), len(module[0]._forward_hooks)


def keyword_hooks(torch: Any) -> Any:
    class Scale(torch.nn.Module):
        def forward(self, x: Any, factor: float = 1.0) -> Any:
            return x * factor

    module = Scale()
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"factor": kwargs["factor"] * 10}), with_kwargs=True
    )
    return module(torch.ones(1), factor=2.0)


def wrong_keyword_hook(torch: Any) -> Any:
    module = torch.nn.Identity()
    module.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    return module(1)


def full_backward_hooks(torch: Any) -> Any:
    module, seen = model(torch), []
    for name, layer in module.named_children():
        layer.register_full_backward_hook(
            lambda m, grad_input, grad_output, name=name: seen.append(
                [name, numbers(grad_input), numbers(grad_output)]
            )
        )
        layer.register_full_backward_pre_hook(
            lambda m, grad_output, name=name: seen.append(["before " + name, numbers(grad_output)])
        )
    x = torch.tensor([[1.0, -1.0]], requires_grad=True)
    y = module(x)
    y.backward()
    return seen, x.grad, module[0].weight.grad, type(y.grad_fn).__name__


def changing_backward_hooks(torch: Any) -> Any:
    module = model(torch)
    module[2].register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    module[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    x = torch.tensor([[1.0, 1.0]], requires_grad=True)
    module(x).backward()
    return x.grad, module[2].weight.grad, module[0].weight.grad


def backward_hook_of_wrong_length(torch: Any) -> Any:
    module = model(torch)
    module[0].register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    module(torch.ones(1, 2, requires_grad=True)).backward()


def several_inputs(torch: Any) -> Any:
    class Add(torch.nn.Module):
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            return a + b * 2, c

    module, seen = Add(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append([numbers(gi), numbers(go)]))
    a = torch.ones(2, requires_grad=True)
    first, _ = module(a, torch.ones(2), "text")
    first.sum().backward()
    return seen, a.grad


def old_backward_hooks(torch: Any) -> Any:
    """As the notes on hooks have it: Linear's are those of bias, input, transposed weight."""
    module, seen = model(torch), []
    for _, layer in module.named_children():
        layer.register_backward_hook(
            lambda m, gi, go: seen.append([repr(m), numbers(gi), numbers(go)])
        )
    x = torch.tensor([[1.0, 1.0]], requires_grad=True)
    module(x).backward()
    return seen


def mixed_backward_hooks(torch: Any) -> Any:
    module = torch.nn.Linear(1, 1)
    module.register_full_backward_hook(lambda *_: None)
    module.register_backward_hook(lambda *_: None)


def hooks_after_errors(torch: Any) -> Any:
    class Failing(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("no")

    module, seen = Failing(), []
    module.register_forward_hook(lambda m, args, y: seen.append("sometimes"))
    module.register_forward_hook(lambda m, args, y: seen.append("always"), always_call=True)
    try:
        module(1)
    except ValueError as error:
        seen.append(str(error))
    return seen


def state_hooks(torch: Any) -> Any:
    module, seen = model(torch), []
    module.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(["save", prefix, keep]))
    module[0].register_state_dict_post_hook(
        lambda m, state, prefix, metadata: state.__setitem__(prefix + "more", torch.ones(1))
    )
    module.register_load_state_dict_pre_hook(
        lambda m, state, prefix, metadata, strict, missing, unexpected, errors: state.pop("0.more")
    )
    module.register_load_state_dict_post_hook(
        lambda m, keys: seen.append([list(keys.missing_keys), list(keys.unexpected_keys)])
    )
    saved = module.state_dict()
    return list(saved), repr(module.load_state_dict(saved)), seen


PROGRAMS = [
    forward_hooks, keyword_hooks, wrong_keyword_hook, full_backward_hooks, changing_backward_hooks,
    backward_hook_of_wrong_length, several_inputs, mixed_backward_hooks, hooks_after_errors,
    state_hooks,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program, raises=None)


def test_old_backward_hooks() -> None:
    compare(old_backward_hooks, warned=True)


def test_hooks_on_all_modules() -> None:
    seen: list[str] = []
    module = nn.Sequential(nn.ReLU(), nn.Tanh())
    with (
        hooks.register_module_forward_hook(lambda m, args, y: seen.append(type(m).__name__)),
        hooks.register_module_forward_pre_hook(lambda m, args: seen.append("before")),
        hooks.register_module_full_backward_hook(lambda m, gi, go: seen.append("backward")),
    ):
        module(rushlight.ones(1, requires_grad=True)).backward()
    before = list(seen)
    module(rushlight.ones(1))
    assert before == seen
    assert seen.count("backward") == 3
    assert seen[:3] == ["before", "before", "ReLU"]
    assert not hooks.everywhere.any


def test_registration_hooks() -> None:
    seen: list[str] = []
    with (
        hooks.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n)),
        hooks.register_module_buffer_registration_hook(lambda m, n, b: seen.append(n)),
        hooks.register_module_module_registration_hook(lambda m, n, c: seen.append(n)),
    ):
        nn.Sequential(nn.BatchNorm1d(1))
    # as in PyTorch, `running_mean` and its like are told of when they are registered
    assert seen == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "0"]


def test_a_module_without_hooks_runs_forward_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr("rushlight.nn.modules.module.call_with_hooks", refuse)
    module = nn.Identity()
    assert module(3) == 3
    module.register_forward_hook(lambda *_: None)
    with pytest.raises(AssertionError, match="the long way"):
        module(3)
