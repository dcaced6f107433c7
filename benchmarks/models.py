"""The small workloads, as ordinary PyTorch programs: each takes the framework as an argument.

A workload is a function of the framework (``torch`` or ``rushlight``) that builds network,
optimizer and data from one seed and returns its step: a call without arguments that gives the loss
of one training step. ``wrap`` is applied to the whole step: ``torch.compile``, for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]
Wrap = Callable[[Any], Any]


def as_written(function: Any) -> Any:
    """The step as the program has it, compiled by no request."""
    return function


def in_turn(function: Any, batches: list[Any]) -> Step:
    """Call ``function`` with one batch after the other, from the front again at the end."""
    turn = [0]

    def step() -> Any:
        batch = batches[turn[0] % len(batches)]
        turn[0] += 1
        return function(*batch)

    return step


def training(
    net: Any, criterion: Any, optimizer: Any, batches: list[Any], wrap: Wrap = as_written
) -> Step:
    """The usual training step over the batches."""

    def train(inputs: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return in_turn(wrap(train), batches)


def transformer_block(torch: Any, width: int, attention: Callable[[], Any]) -> Callable[[], Any]:
    """A class of blocks, norms first: what ``attention`` makes, then two layers with GELU."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.attention = attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    return Block


def lenet(torch: Any, wrap: Wrap = as_written) -> Step:
    """LeNet, batch 4 of 3x32x32, cross entropy, SGD with momentum (a CIFAR-10 tutorial's step)."""
    nn = torch.nn

    class Net(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x: Any) -> Any:
            relu = nn.functional.relu
            x = self.pool(relu(self.conv1(x)))
            x = self.pool(relu(self.conv2(x)))
            x = x.view(-1, 16 * 5 * 5)
            x = relu(self.fc1(x))
            x = relu(self.fc2(x))
            return self.fc3(x)

    torch.manual_seed(0)
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    batches = [(torch.randn(4, 3, 32, 32), torch.randint(0, 10, (4,))) for _ in range(8)]
    return training(net, criterion, optimizer, batches, wrap)


def mlp(torch: Any, wrap: Wrap = as_written) -> Step:
    """Two layers, 64 x 1000 x 100 x 10, squared error, SGD."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
    criterion = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    batches = [(torch.randn(64, 1000), torch.randn(64, 10))]
    return training(net, criterion, optimizer, batches, wrap)


def lit_mnist(torch: Any, wrap: Wrap = as_written) -> Step:
    """A multi-layer perceptron on 1x28x28, batch 32, dropout, log softmax, NLL, Adam."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64),
        nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
    batches = [(torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,))) for _ in range(8)]
    return training(net, nn.functional.nll_loss, optimizer, batches, wrap)


WORKLOADS: dict[str, Callable[[Any], Step]] = {
    "LeNet, batch 4, momentum": lenet,
    "MLP 64x1000x100x10, SGD": mlp,
    "LitMNIST, batch 32, Adam": lit_mnist,
}
