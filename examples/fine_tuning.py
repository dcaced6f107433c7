"""Fine-tuning: what a network has learnt of the odd digits helps it with the even ones.

    python -m rushlight run examples/fine_tuning.py

The network first learns the odd digits from all their pictures (the source domain). Its parameters
are saved and loaded into a new network, and its classifier is replaced by one for the even digits,
of which there are only a few pictures each (the target domain). Then it is trained in several ways:
from nothing; with the features frozen by ``requires_grad = False``; with the features frozen by a
learning rate of 0; with a small learning rate for the features and a greater one for the
classifier. The table shows how many of the held-out even digits each way gets right.
"""

import argparse
import statistics
from pathlib import Path

import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import Digits

SOURCE, TARGET = (1, 3, 5, 7, 9), (0, 2, 4, 6, 8)


class Net(nn.Module):
    """A feature extractor of convolutions, and a classifier."""

    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.classifier = build_classifier(num_classes)

    def forward(self, x):
        return self.classifier(self.features(x))


def build_classifier(num_classes):
    return nn.Sequential(nn.Linear(64 * 2 * 2, 64), nn.ReLU(), nn.Linear(64, num_classes))


def chosen(train, digits):
    """The pictures of some digits as (N, 1, 8, 8), and their places in ``digits``."""
    data = Digits(train=train, transform=transforms.ToTensor())
    pairs = [(image, digits.index(label)) for image, label in data if label in digits]
    images, labels = zip(*pairs, strict=True)
    return TensorDataset(torch.stack(images), torch.tensor(labels))


def a_few(dataset, count, draw):
    """``count`` pictures of each class, other ones for each draw."""
    labels = dataset.tensors[1].tolist()
    numbers = []
    for label in sorted(set(labels)):
        own = [number for number, other in enumerate(labels) if other == label]
        numbers += own[draw * count : (draw + 1) * count]
    return Subset(dataset, numbers)


def train(net, dataset, groups, epochs, lr=0.05, frozen=False):
    """Train with groups of parameters, each of which may have a learning rate of its own."""
    loader = DataLoader(dataset, batch_size=16, shuffle=True, drop_last=len(dataset) > 16)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(groups, lr=lr, momentum=0.9)
    net.train()
    if frozen:
        net.features.eval()  # the running statistics of batch normalisation stay, too
    for _ in range(epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            criterion(net(inputs), labels).backward()
            optimizer.step()


def accuracy(net, dataset):
    net.eval()
    images, labels = dataset.tensors
    with torch.no_grad():
        return (net(images).argmax(1) == labels).float().mean().item()


def pretrained(file):
    """The saved network with a new classifier, for the target's classes."""
    net = Net(len(SOURCE))
    net.load_state_dict(torch.load(file))
    net.classifier = build_classifier(len(TARGET))
    return net


def from_nothing(file, dataset, epochs):
    net = Net(len(TARGET))
    train(net, dataset, [{"params": net.parameters()}], epochs)
    return net


def frozen_by_requires_grad(file, dataset, epochs):
    net = pretrained(file)
    for parameter in net.features.parameters():
        parameter.requires_grad = False
    left = [parameter for parameter in net.parameters() if parameter.requires_grad]
    train(net, dataset, [{"params": left}], epochs, frozen=True)
    return net


def by_learning_rate(net, dataset, epochs, lr):
    """The features with a learning rate of their own, the classifier with the optimizer's."""
    groups = [
        {"params": net.features.parameters(), "lr": lr},
        {"params": net.classifier.parameters()},
    ]
    train(net, dataset, groups, epochs, frozen=lr == 0)
    return net


def frozen_by_learning_rate(file, dataset, epochs):
    return by_learning_rate(pretrained(file), dataset, epochs, lr=0.0)


def small_learning_rate(file, dataset, epochs):
    return by_learning_rate(pretrained(file), dataset, epochs, lr=0.005)


WAYS = {
    "from nothing": from_nothing,
    "features frozen: requires_grad = False": frozen_by_requires_grad,
    "features frozen: learning rate 0": frozen_by_learning_rate,
    "features with a tenth of the learning rate": small_learning_rate,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5, help="times that few pictures are drawn")
    parser.add_argument("--pictures", type=int, default=2, help="of each class to learn from")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("runs/fine_tuning"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    net = Net(len(SOURCE))
    source = chosen(True, SOURCE)
    train(net, source, [{"params": net.parameters()}], epochs=2, lr=0.01)
    file = arguments.output / "source.pth"
    torch.save(net.state_dict(), file)
    held_out = accuracy(net, chosen(False, SOURCE))
    print(f"Odd digits, {len(source)} pictures: {100 * held_out:.1f} % right. Saved {file}")

    pictures, held_out = chosen(True, TARGET), chosen(False, TARGET)
    print(f"Even digits, {arguments.pictures} pictures of each, {arguments.draws} draws:")
    print(f"{'':44}{'mean':>8}{'lowest':>8}{'highest':>9}")
    for title, way in WAYS.items():
        results = []
        for draw in range(arguments.draws):
            torch.manual_seed(draw)
            few = a_few(pictures, arguments.pictures, draw)
            results.append(100 * accuracy(way(file, few, arguments.epochs), held_out))
        mean = statistics.mean(results)
        print(f"{title:44}{mean:6.1f} %{min(results):6.1f} %{max(results):7.1f} %")


if __name__ == "__main__":
    main()
