"""More wrong programs: types, indices, autograd, data, modules, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight
from tests.errors.test_user_errors import _error as error_of

Program = Callable[[Any], Any]


# shapes -------------------------------------------------------------------------------------------


def bmm_shapes(torch: Any) -> None:
    torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 3, 4))  # wrong


def vector_shapes(torch: Any) -> None:
    torch.ones(3) @ torch.ones(4)  # wrong


def matrix_vector_shapes(torch: Any) -> None:
    torch.ones(2, 3) @ torch.ones(4)  # wrong


def stack_sizes(torch: Any) -> None:
    torch.stack([torch.ones(2), torch.ones(3)])  # wrong


def reshape_size(torch: Any) -> None:
    torch.ones(6).reshape(4, 2)  # wrong


def expand_size(torch: Any) -> None:
    torch.ones(3).expand(2, 4)  # wrong


def batch_norm_channels(torch: Any) -> None:
    layer = torch.nn.BatchNorm2d(3)
    layer(torch.ones(2, 4, 5, 5))  # wrong


def batch_norm_dimensions(torch: Any) -> None:
    layer = torch.nn.BatchNorm2d(3)
    layer(torch.ones(2, 3))  # wrong


def batch_norm_of_one(torch: Any) -> None:
    layer = torch.nn.BatchNorm1d(3)
    layer(torch.ones(1, 3))  # wrong


def layer_norm_shape(torch: Any) -> None:
    layer = torch.nn.LayerNorm(3)
    layer(torch.ones(2, 4))  # wrong


def pool_too_large(torch: Any) -> None:
    torch.nn.functional.max_pool2d(torch.ones(1, 1, 2, 2), 3)  # wrong


def ragged_list(torch: Any) -> None:
    torch.tensor([[1, 2], [3]])  # wrong


def where_shapes(torch: Any) -> None:
    torch.where(torch.ones(2) > 0, torch.ones(3), torch.ones(2))  # wrong


def mask_shape(torch: Any) -> None:
    x = torch.ones(3, 2)
    x[torch.tensor([True, False])]  # wrong


def assigned_shape(torch: Any) -> None:
    x = torch.ones(3, 2)
    x[0] = torch.ones(3)  # wrong


def loss_shapes(torch: Any) -> None:
    torch.nn.functional.binary_cross_entropy(torch.ones(3) / 2, torch.ones(3, 1))  # wrong


def class_weights(torch: Any) -> None:
    criterion = torch.nn.CrossEntropyLoss(weight=torch.ones(2))
    criterion(torch.ones(2, 3), torch.tensor([0, 2]))  # wrong


def negative_size(torch: Any) -> None:
    torch.zeros(2, -1)  # wrong


# types --------------------------------------------------------------------------------------------


def matmul_types(torch: Any) -> None:
    torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float64)  # wrong


def conv_of_double(torch: Any) -> None:
    layer = torch.nn.Conv2d(1, 1, 3)
    layer(torch.ones(1, 1, 5, 5, dtype=torch.float64))  # wrong


def softmax_of_integers(torch: Any) -> None:
    torch.arange(3).softmax(0)  # wrong


def minus_of_bool(torch: Any) -> None:
    torch.ones(2, dtype=torch.bool) - torch.ones(2, dtype=torch.bool)  # wrong


def negative_bool(torch: Any) -> None:
    -torch.ones(2, dtype=torch.bool)  # wrong


def and_of_floats(torch: Any) -> None:
    torch.ones(2) & torch.ones(2)  # wrong


def index_of_floats(torch: Any) -> None:
    x = torch.ones(3)
    x[torch.tensor([0.0, 1.0])]  # wrong


def embedding_of_floats(torch: Any) -> None:
    table = torch.nn.Embedding(3, 2)
    table(torch.tensor([1.0]))  # wrong


def float_target(torch: Any) -> None:
    torch.nn.functional.nll_loss(torch.ones(2, 3), torch.tensor([0.0, 1.0]))  # wrong


def tensor_of_text(torch: Any) -> None:
    torch.tensor("one")  # wrong


def array_of_text(torch: Any) -> None:
    torch.from_numpy(np.array(["one"]))  # wrong


def gradient_of_integers(torch: Any) -> None:
    torch.ones(2, dtype=torch.int64, requires_grad=True)  # wrong


def add_a_list(torch: Any) -> None:
    torch.ones(2) + [1, 2]  # wrong


def add_text(torch: Any) -> None:
    torch.add(torch.ones(2), "a")  # wrong


# devices ------------------------------------------------------------------------------------------


def made_on_a_gpu(torch: Any) -> None:
    torch.ones(3, device="cuda")  # wrong


def module_to_a_gpu(torch: Any) -> None:
    layer = torch.nn.Linear(3, 2)
    layer.cuda()  # wrong


# indices ------------------------------------------------------------------------------------------


def negative_index(torch: Any) -> None:
    x = torch.ones(3)
    x[-4]  # wrong


def assigned_index(torch: Any) -> None:
    x = torch.ones(3)
    x[3] = 1  # wrong


def assigned_index_tensor(torch: Any) -> None:
    x = torch.ones(3)
    x[torch.tensor([3])] = 1  # wrong


def gather_range(torch: Any) -> None:
    torch.ones(2, 3).gather(1, torch.tensor([[3], [0]]))  # wrong


def index_select_range(torch: Any) -> None:
    torch.ones(2, 3).index_select(0, torch.tensor([3]))  # wrong


def scatter_range(torch: Any) -> None:
    torch.zeros(2, 3).scatter_(1, torch.tensor([[3]]), 1.0)  # wrong


def narrow_range(torch: Any) -> None:
    torch.ones(3).narrow(0, 2, 2)  # wrong


def classes_of_one_hot(torch: Any) -> None:
    torch.nn.functional.one_hot(torch.tensor([0, 3]), 3)  # wrong


def negative_target(torch: Any) -> None:
    torch.nn.functional.cross_entropy(torch.ones(1, 3), torch.tensor([-1]))  # wrong


def permutation(torch: Any) -> None:
    torch.ones(2, 3).permute(0, 0)  # wrong


def transposed_axis(torch: Any) -> None:
    torch.ones(2, 3).transpose(0, 2)  # wrong


def softmax_axis(torch: Any) -> None:
    torch.ones(2, 3).softmax(2)  # wrong


def unsqueezed_axis(torch: Any) -> None:
    torch.ones(2, 3).unsqueeze(4)  # wrong


# autograd -----------------------------------------------------------------------------------------


def gradient_shape(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    (x * 2).backward(torch.ones(2))  # wrong


def unused_input(torch: Any) -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    torch.autograd.grad(x.sum(), y)  # wrong


def backward_after_no_grad(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        y = x.sum()
    y.backward()  # wrong


def leave_the_graph(torch: Any) -> None:
    y = torch.ones(3, requires_grad=True) * 2
    y.requires_grad_(False)  # wrong


def hook_without_graph(torch: Any) -> None:
    torch.ones(3).register_hook(print)  # wrong


def retain_without_graph(torch: Any) -> None:
    torch.ones(3).retain_grad()  # wrong


def gradient_of_another_shape(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    x.grad = torch.ones(2)  # wrong


def write_to_leaf_by_method(torch: Any) -> None:
    torch.nn.Linear(2, 2).weight.fill_(1)  # wrong


def copy_of_a_result(torch: Any) -> None:
    import copy

    copy.deepcopy(torch.ones(2, requires_grad=True) * 2)  # wrong


def wrong_number_of_gradients(torch: Any) -> None:
    class Twice(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g, g

    y = Twice.apply(torch.ones(2, requires_grad=True)).sum()
    y.backward()  # wrong


# modules ------------------------------------------------------------------------------------------


def no_forward(torch: Any) -> None:
    torch.nn.Module()(torch.ones(2))  # wrong


def forward_of_a_list(torch: Any) -> None:
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    layers(torch.ones(2))  # wrong


def assigned_parameter(torch: Any) -> None:
    layer = torch.nn.Linear(2, 2)
    layer.weight = torch.ones(2, 2)  # wrong


def too_much_dropout(torch: Any) -> None:
    torch.nn.Dropout(1.5)  # wrong


def channels_and_groups(torch: Any) -> None:
    torch.nn.Conv2d(3, 4, 3, groups=2)  # wrong


def missing_state(torch: Any) -> None:
    layer = torch.nn.Linear(2, 2)
    layer.load_state_dict({"weight": torch.ones(2, 2)})  # wrong


def unknown_state(torch: Any) -> None:
    layer = torch.nn.Linear(2, 2, bias=False)
    layer.load_state_dict({"weight": torch.ones(2, 2), "bias": torch.ones(2)})  # wrong


def list_of_numbers(torch: Any) -> None:
    torch.nn.Sequential(1, 2)  # wrong


def buffer_name(torch: Any) -> None:
    torch.nn.Module().register_buffer("a.b", torch.ones(2))  # wrong


# optimizers and data ------------------------------------------------------------------------------


def negative_rate(torch: Any) -> None:
    torch.optim.Adam([torch.ones(2, requires_grad=True)], lr=-1.0)  # wrong


def parameters_twice(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    torch.optim.SGD([{"params": [x]}, {"params": [x]}], lr=0.1)  # wrong


def one_tensor_as_parameters(torch: Any) -> None:
    torch.optim.SGD(torch.ones(2, requires_grad=True), lr=0.1)  # wrong


def parameters_that_are_none(torch: Any) -> None:
    torch.optim.SGD([1.0], lr=0.1)  # wrong


def shuffle_and_sampler(torch: Any) -> None:
    data = torch.utils.data
    samples = data.TensorDataset(torch.ones(3))
    data.DataLoader(samples, shuffle=True, sampler=data.SequentialSampler(samples))  # wrong


def batches_of_none(torch: Any) -> None:
    torch.utils.data.DataLoader([1, 2], batch_size=0)  # wrong


def unequal_samples(torch: Any) -> None:
    loader = torch.utils.data.DataLoader([torch.ones(2), torch.ones(3)], batch_size=2)
    next(iter(loader))  # wrong


def unequal_tensors(torch: Any) -> None:
    torch.utils.data.TensorDataset(torch.ones(2), torch.ones(3))  # wrong


def uncollatable(torch: Any) -> None:
    loader = torch.utils.data.DataLoader([object()], batch_size=1)
    next(iter(loader))  # wrong


def split_sizes(torch: Any) -> None:
    torch.utils.data.random_split(range(5), [2, 2])  # wrong


def no_samples(torch: Any) -> None:
    torch.utils.data.RandomSampler([])  # wrong


PROGRAMS: dict[str, Program] = {
    name: found
    for name, found in list(globals().items())
    if callable(found) and getattr(found, "__module__", None) == __name__ and name[0].islower()
}

#: After how many words a message differs, where it names C++ types or devices.
WORDS: dict[str, int] = {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_error_comes_at_the_wrong_line(name: str) -> None:
    _, line = error_of(PROGRAMS[name], rushlight, __file__)
    assert "# wrong" in line


@pytest.mark.parametrize("name", PROGRAMS)
def test_error_is_pytorchs(name: str) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    ours, _ = error_of(PROGRAMS[name], rushlight, __file__)
    theirs, _ = error_of(PROGRAMS[name], oracle, __file__)
    assert isinstance(ours, type(theirs)), f"{type(ours)} for PyTorch's {type(theirs)}"
    count = WORDS.get(name, 8)
    first, second = (str(error).splitlines()[0].split()[:count] for error in (ours, theirs))
    assert first == second
