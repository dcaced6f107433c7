"""The workloads, as ordinary PyTorch programs: each takes the framework as an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]


def lenet(torch: Any) -> Step:
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
    batches = [
        (torch.randn(4, 3, 32, 32), torch.randint(0, 10, (4,))) for _ in range(8)
    ]
    return _loop(net, criterion, optimizer, batches)


def mlp(torch: Any) -> Step:
    """Two layers, 64 x 1000 x 100 x 10, squared error, SGD."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
    criterion = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    batches = [(torch.randn(64, 1000), torch.randn(64, 10))]
    return _loop(net, criterion, optimizer, batches)


def lit_mnist(torch: Any) -> Step:
    """A multi-layer perceptron on 1x28x28, batch 32, dropout, log softmax, NLL, Adam."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64),
        nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
    batches = [
        (torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,))) for _ in range(8)
    ]
    return _loop(net, nn.functional.nll_loss, optimizer, batches)


def _loop(net: Any, criterion: Any, optimizer: Any, batches: list[Any]) -> Step:
    turn = [0]

    def step() -> Any:
        inputs, labels = batches[turn[0] % len(batches)]
        turn[0] += 1
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


WORKLOADS: dict[str, Callable[[Any], Step]] = {
    "LeNet, batch 4, momentum": lenet,
    "MLP 64x1000x100x10, SGD": mlp,
    "LitMNIST, batch 32, Adam": lit_mnist,
}
