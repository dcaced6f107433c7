"""Functions of PyTorch's core that ``nn.functional`` wraps, with the core's order of arguments.

Reductions, modes and paddings are numbers here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.engine.ir.op import composite, function_of
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.grid_sample import affine_grid_op
from rushlight.engine.ops.loss import MEAN, NONE, SUM
from rushlight.engine.ops.loss_margin_functions import ranking_loss

_REDUCTIONS = (NONE, MEAN, SUM)
_GRID_MODES = ("bilinear", "nearest", "bicubic")
_GRID_PADDINGS = ("zeros", "border", "reflection")


def _functional(name: str) -> Callable[..., Any]:
    return function_of(f"nn.functional.{name}")


def _reduction(number: int) -> str:
    if not 0 <= number < 3:
        raise RuntimeError(f"Invalid reduction enum. Valid ones are: None, Mean, Sum, got {number}")
    return _REDUCTIONS[number]


# losses ----------------------------------------------------------------------------------------

_SIGNS = t(3, values=[1.0, -1, 1], grad=False)
_LABELS = t(3, 4, low=0.1, high=0.9, grad=False)


@composite(samples=(S(t(3, 4), _LABELS, reduction=1),
                    S(t(3, 4), _LABELS, None, t(4, low=0.5, grad=False), 2)))  # fmt: skip
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 0
) -> Any:
    """``nn.functional.binary_cross_entropy_with_logits`` with a number for the reduction.

    >>> import rushlight as torch
    >>> torch.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor([0.6931])
    """
    return _functional("binary_cross_entropy_with_logits")(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


@composite(samples=(S(t(3, 4), t(3, 4), _SIGNS, 0.1), S(t(3, 4), t(3, 4), _SIGNS, reduction=0)))
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """``nn.functional.cosine_embedding_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.cosine_embedding_loss(one, one, -torch.ones(1))
    tensor([1.])
    """
    return _functional("cosine_embedding_loss")(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


@composite(
    samples=(
        S(t(5, 2, 4, low=-3.0, high=-0.1), ti(2, 2, low=1, high=4), (5, 4), (2, 1), 0, 2,
          numeric=False, twice=False, tolerance=4),
    )
)  # fmt: skip
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: int = 0, zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """``nn.functional.ctc_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> logs = torch.zeros(2, 1, 2).log_softmax(2)
    >>> torch.ctc_loss(logs, torch.tensor([[1]]), (2,), (1,))
    tensor([0.2877])
    """
    return _functional("ctc_loss")(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction),
        zero_infinity,
    )  # fmt: skip


@composite(samples=(S(t(3), _SIGNS), S(t(3), _SIGNS, 0.5, 2)))
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: int = 0
) -> Any:
    """``nn.functional.hinge_embedding_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> torch.hinge_embedding_loss(torch.zeros(1), -torch.ones(1))
    tensor([1.])
    """
    return _functional("hinge_embedding_loss")(
        input, target, margin, reduction=_reduction(reduction)
    )


@composite(
    samples=(
        S(t(3, 4), t(3, 4, low=0.1, high=1.0)),
        S(t(3, 4), t(3, 4), 2, log_target=True),
    )
)
def kl_div(input: Any, target: Any, reduction: int = 0, *, log_target: bool = False) -> Any:
    """``nn.functional.kl_div`` with a number for the reduction.

    >>> import rushlight as torch
    >>> torch.kl_div(torch.zeros(1), torch.ones(1))
    tensor([0.])
    """
    loss = _functional("kl_div")(input, target, reduction=NONE, log_target=log_target)
    how = _reduction(reduction)
    return loss if how == NONE else loss.mean() if how == MEAN else loss.sum()


@composite(samples=(S(t(3), t(3), _SIGNS, 0.5), S(t(3), t(3), _SIGNS, reduction=2)))
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """``nn.functional.margin_ranking_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> one = torch.ones(1)
    >>> torch.margin_ranking_loss(one, one, one, 0.5)
    tensor([0.5000])
    """
    return ranking_loss(input1, input2, target, margin, _reduction(reduction))


@composite(samples=(S(t(3), t(3, low=0.1, high=3.0), True, False, 1e-8, 1),))
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int
) -> Any:
    """``nn.functional.poisson_nll_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> torch.poisson_nll_loss(torch.zeros(1), torch.ones(1), True, False, 1e-8, 1)
    tensor(1.)
    """
    return _functional("poisson_nll_loss")(
        input, target, log_input, full, eps=eps, reduction=_reduction(reduction)
    )


@composite(samples=(S(t(3, 4), t(3, 4), t(3, 4)), S(t(4), t(4), t(4), 0.5, 3.0, swap=True)))
def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: int = 0,
) -> Any:  # fmt: skip
    """``nn.functional.triplet_margin_loss`` with a number for the reduction.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.triplet_margin_loss(one, one, one)
    tensor([1.])
    """
    return _functional("triplet_margin_loss")(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


# normalisation ---------------------------------------------------------------------------------


@composite(
    samples=(
        S(t(4, 3), t(3), t(3), None, None, True, 0.1, 1e-5, True),
        S(t(4, 3), None, None, t(3, grad=False), t(3, low=0.5, grad=False), False, 0.1, 1e-5,
          False),
    )
)  # fmt: skip
def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """``nn.functional.batch_norm`` in the core's order of arguments.

    >>> import rushlight as torch
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> torch.batch_norm(x, None, None, None, None, True, 0.1, 0.0, False).flatten()
    tensor([-1.,  1.])
    """
    return _functional("batch_norm")(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )


@composite(samples=(S(t(2, 3, 4), t(3), None, None, None, True, 0.1, 1e-5, True),))
def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """``nn.functional.instance_norm`` in the core's order of arguments.

    >>> import rushlight as torch
    >>> x = torch.tensor([[[1.0, 3.0]]])
    >>> torch.instance_norm(x, None, None, None, None, True, 0.1, 0.0, False)
    tensor([[[-1.,  1.]]])
    """
    return _functional("instance_norm")(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


# tables and grids ------------------------------------------------------------------------------


@composite(samples=(S(t(5, 4), ti(2, 3, low=0, high=5)), S(t(5, 4), ti(3, low=0, high=5), 1,
                                                           numeric=False)))  # fmt: skip
def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:  # fmt: skip
    """``nn.functional.embedding`` with the table first.

    >>> import rushlight as torch
    >>> torch.embedding(torch.tensor([[1.0], [2.0]]), torch.tensor([1]))
    tensor([[2.]])
    """
    padding = None if padding_idx < 0 or not weight.shape[0] else padding_idx
    return _functional("embedding")(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


@composite(
    samples=(
        S(t(1, 2, 4, 5), t(1, 3, 3, 2), 0, 0, False, twice=False, tolerance=4),
        S(t(1, 2, 3, 4, 5), t(1, 2, 3, 2, 3), 1, 1, True, twice=False),
    )
)
def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``nn.functional.grid_sample`` with numbers for the modes.

    >>> import rushlight as torch
    >>> x, middle = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 1, 1, 2)
    >>> torch.grid_sampler(x, middle, 0, 0, True)
    tensor([[[[2.]]]])
    """
    return _functional("grid_sample")(
        input, grid, _GRID_MODES[interpolation_mode], _GRID_PADDINGS[padding_mode], align_corners
    )


def _ranked(nd: int) -> None:
    def sampler(
        input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
    ) -> Any:
        return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)

    sampler.__doc__ = f"""``grid_sampler`` for {nd} spatial axes.

    >>> import rushlight as torch
    >>> middle = torch.zeros(1{", 1" * nd}, {nd})
    >>> torch.grid_sampler_{nd}d(torch.ones(1, 1{", 1" * nd}), middle, 0, 0, True).item()
    1.0
    """
    size = (3, 4, 5)[:nd]
    samples = (S(t(1, 2, *size), t(1, 2, *size[1:], nd), 0, 0, False, twice=False, tolerance=4),)
    composite(name=f"grid_sampler_{nd}d", samples=samples)(sampler)


for _nd in (2, 3):
    _ranked(_nd)


@composite(
    samples=(
        S(t(2, 2, 3, dtype="float32"), (2, 1, 3, 4), False, numeric=False),
        S(t(1, 3, 4, dtype="float32"), (1, 1, 2, 3, 4), True, numeric=False),
    )
)
def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """``nn.functional.affine_grid`` of PyTorch's core.

    >>> import rushlight as torch
    >>> same = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.affine_grid_generator(same, (1, 1, 1, 2), True)[0, 0, :, 0]
    tensor([-1.,  1.])
    """
    return affine_grid_op(theta, size=tuple(int(n) for n in size), align=bool(align_corners))


@composite(samples=(S(t(2, 3, 7), 3), S(t(3, 7), (2,))))
def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """``nn.functional.adaptive_max_pool1d`` together with the places of the elements.

    >>> import rushlight as torch
    >>> values, places = torch.adaptive_max_pool1d(torch.tensor([[1.0, 3.0]]), 1)
    >>> values.item(), places.item()
    (3.0, 1)
    """
    return _functional("adaptive_max_pool1d")(input, output_size, True)


@composite(
    namespaces=("nn.functional", "torch"), samples=(S(t(2, 6, 2, 2, grad=False), 2),)
)
def native_channel_shuffle(input: Any, groups: int) -> Any:
    """``nn.functional.channel_shuffle`` by its name in the core.

    >>> import rushlight as torch
    >>> torch.native_channel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    return _functional("channel_shuffle")(input, groups)
