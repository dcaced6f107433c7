"""What all optimizers share: groups, errors, hooks, closures, saving."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import rushlight
from rushlight import nn, optim
from tests.nn.both import compare


def parameter(torch: Any, *values: float) -> Any:
    return torch.nn.Parameter(torch.tensor(values or (1.0, 2.0)))


ERRORS = {
    "no parameters": lambda torch, p: torch.optim.SGD([], lr=1),
    "a tensor": lambda torch, p: torch.optim.SGD(p, lr=1),
    "a number": lambda torch, p: torch.optim.SGD([3], lr=1),
    "a set": lambda torch, p: torch.optim.SGD([{"params": {p}}], lr=1),
    "computed": lambda torch, p: torch.optim.SGD([p * 2], lr=1),
    "rate": lambda torch, p: torch.optim.SGD([p], lr=-1.0),
    "momentum": lambda torch, p: torch.optim.SGD([p], lr=1, momentum=-1.0),
    "decay": lambda torch, p: torch.optim.SGD([p], lr=1, weight_decay=-1.0),
    "nesterov": lambda torch, p: torch.optim.SGD([p], lr=1, nesterov=True),
    "Adam's rate": lambda torch, p: torch.optim.Adam([p], lr=-1.0),
    "Adam's eps": lambda torch, p: torch.optim.Adam([p], eps=-1.0),
    "Adam's first beta": lambda torch, p: torch.optim.Adam([p], betas=(1.0, 0.5)),
    "Adam's second beta": lambda torch, p: torch.optim.Adam([p], betas=(0.5, 1.5)),
    "Adam's decay": lambda torch, p: torch.optim.AdamW([p], weight_decay=-1.0),
    "RMSprop's alpha": lambda torch, p: torch.optim.RMSprop([p], alpha=-1.0),
    "RMSprop's momentum": lambda torch, p: torch.optim.RMSprop([p], momentum=-1.0),
    "Adagrad's lr_decay": lambda torch, p: torch.optim.Adagrad([p], lr_decay=-1.0),
    "Adagrad's start": lambda torch, p: torch.optim.Adagrad([p], initial_accumulator_value=-1.0),
    "Adadelta's rho": lambda torch, p: torch.optim.Adadelta([p], rho=1.5),
    "Adamax's beta": lambda torch, p: torch.optim.Adamax([p], betas=(1.5, 0.5)),
    "NAdam's decay": lambda torch, p: torch.optim.NAdam([p], momentum_decay=-1.0),
    "RAdam's eps": lambda torch, p: torch.optim.RAdam([p], eps=-1.0),
    "Rprop's etas": lambda torch, p: torch.optim.Rprop([p], etas=(1.5, 0.5)),
    "ASGD's rate": lambda torch, p: torch.optim.ASGD([p], lr=-1.0),
    "LBFGS' groups": lambda torch, p: torch.optim.LBFGS(
        [{"params": [p]}, {"params": [parameter(torch)]}]
    ),
    "twice": lambda torch, p: torch.optim.SGD([{"params": [p]}, {"params": [p]}], lr=1),
    "group is no dict": lambda torch, p: torch.optim.SGD([p], lr=1).add_param_group([p]),
    "names missing": lambda torch, p: torch.optim.SGD([("a", p), parameter(torch)], lr=1),
    "names in one group": lambda torch, p: torch.optim.SGD([("a", p)], lr=1).add_param_group(
        {"params": [parameter(torch)]}
    ),
    "other groups": lambda torch, p: torch.optim.SGD([p], lr=1).load_state_dict(
        {"state": {}, "param_groups": []}
    ),
    "other sizes": lambda torch, p: torch.optim.SGD([p], lr=1).load_state_dict(
        {"state": {}, "param_groups": [{"params": [0, 1]}]}
    ),
    "step of the base": lambda torch, p: torch.optim.Optimizer([p], {}).step(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    compare(lambda torch: ERRORS[name](torch, parameter(torch)), raises=True)


def same_twice(torch: Any) -> Any:
    p = parameter(torch)
    return len(torch.optim.SGD([p, p], lr=1).param_groups[0]["params"])


def closures(torch: Any) -> Any:
    p = parameter(torch)
    optimizer = torch.optim.SGD([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        first = optimizer.step(closure)
    return first.detach(), optimizer.step(closure).detach(), p


def clearing(torch: Any) -> Any:
    p, q = parameter(torch), parameter(torch)
    optimizer = torch.optim.SGD([p, q], lr=0.1)
    (p**2).sum().backward(create_graph=False)
    optimizer.zero_grad(set_to_none=False)
    kept = p.grad
    optimizer.zero_grad()
    return kept, p.grad, q.grad


def hooks(torch: Any) -> Any:
    p, seen = parameter(torch), []
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.5)
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(str(kwargs))),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(
            lambda o, s: {k: v for k, v in s.items() if k != "more"}
        ),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    (p**2).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    for handle in handles:
        handle.remove()
    optimizer.step()
    return seen, list(saved), list(optimizer.state_dict()), p


def bad_hook(torch: Any) -> Any:
    optimizer = torch.optim.SGD([parameter(torch)], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    try:
        optimizer.step()
    except RuntimeError as error:
        return str(error).split(" must ")[1]


def own_algorithm(torch: Any) -> Any:
    class Halving(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"factor": 0.5})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(group["factor"])
                    self.state[p]["count"] = self.state[p].get("count", 0) + 1

    p = parameter(torch)
    optimizer = Halving([p])
    optimizer.step()
    optimizer.step()
    return p, optimizer.state_dict(), repr(optimizer)


def minimum_found(torch: Any, **options: Any) -> Any:
    """Rosenbrock's valley."""
    p = parameter(torch, -1.2, 1.0)
    optimizer = torch.optim.LBFGS([p], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(3)]
    state = optimizer.state_dict()["state"][0]
    return losses, p, [state["func_evals"], state["n_iter"]], repr(optimizer)


PROGRAMS = [same_twice, closures, clearing, hooks, bad_hook, own_algorithm]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program, warned=True)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.001, "max_iter": 5},
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
    ],
    ids=str,
)
def test_lbfgs(options: dict[str, Any]) -> None:
    compare(lambda torch: minimum_found(torch, **options), tolerance=2e-3)


def test_lbfgs_arrives() -> None:
    losses, p, _, _ = minimum_found(rushlight, line_search_fn="strong_wolfe", max_iter=60)
    assert (p - 1).abs().max() < 1e-3
    assert losses[-1] < 1e-6


def test_hooks_on_all_optimizers() -> None:
    seen: list[str] = []
    one = optim.SGD([parameter(rushlight)], lr=0.1)
    with (
        optim.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("before")),
        optim.register_optimizer_step_post_hook(lambda o, a, k: seen.append("after")),
    ):
        one.step()
    one.step()
    assert seen == ["before", "after"]


def test_pickling_and_copying() -> None:
    p = parameter(rushlight)
    optimizer = optim.Adam([p], lr=0.5)
    (p**2).sum().backward()
    optimizer.step()
    for made in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert repr(made) == repr(optimizer)
        (own,) = made.param_groups[0]["params"]
        assert own is not p
        assert made.state[own]["step"].item() == 1.0
        made.step()


def test_step_ends_with_a_flush() -> None:
    p = parameter(rushlight)
    optimizer = optim.SGD([p], lr=0.5)
    (p**2).sum().backward()
    optimizer.step()
    assert p._read().buffer is not None


def averaged(torch: Any) -> Any:
    utils = torch.optim.swa_utils
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    mean = utils.AveragedModel(model)
    moving = utils.AveragedModel(model, multi_avg_fn=utils.get_ema_multi_avg_fn(0.8))
    other = utils.AveragedModel(model, avg_fn=utils.get_ema_avg_fn(0.5), use_buffers=False)
    batches = [torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[0.5, 0.0], [1.0, 1.0]])]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in batches * 2:
        optimizer.zero_grad()
        (model(batch) ** 3).sum().backward()
        optimizer.step()
        for average in (mean, moving, other):
            average.update_parameters(model)
    utils.update_bn([(batch, 0) for batch in batches], mean)
    return mean.state_dict(), moving.state_dict(), other.state_dict(), mean(batches[0])


def test_averaged_models() -> None:
    compare(averaged, tolerance=1e-4)


@pytest.mark.parametrize(
    "text", ["SWALR(o, 0.1)", "SWALR(o, [0.1, 0.2], 3, 'linear')", "SWALR(o, 0.1, 0)"]
)
def test_swa_rates(text: str) -> None:
    def run(torch: Any) -> Any:
        groups = [{"params": [parameter(torch)]}, {"params": [parameter(torch)], "lr": 0.7}]
        optimizer = torch.optim.SGD(groups, lr=0.5)
        schedule = eval(text, {**vars(torch.optim.swa_utils), "o": optimizer})
        track = []
        for _ in range(6):
            optimizer.step()
            schedule.step()
            track.append(schedule.get_last_lr())
        return track

    compare(run, tolerance=1e-12)


def test_a_small_network_learns() -> None:
    rushlight.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    x = rushlight.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = rushlight.tensor([[0.0], [1.0], [1.0], [0.0]])
    losses = []
    for _ in range(200):
        loss = nn.MSELoss()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 < losses[0]
