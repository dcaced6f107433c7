"""Train LeNet on 1,437 handwritten digits and test it on 360 others.

    python examples/digits_lenet.py                     # or: make run
    python examples/digits_lenet.py --epochs 30 --output runs/longer

An ordinary PyTorch script. To run it on PyTorch, write ``torch`` for ``rushlight`` in the imports
and take ``transforms`` from ``torchvision``. ``Digits`` stays as it is: it yields Pillow images.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from tqdm import tqdm

import rushlight as torch
import rushlight.nn as nn
import rushlight.nn.functional as F
import rushlight.optim as optim
from rushlight.utils.data import DataLoader
from rushlight.vision import transforms
from rushlight.vision.datasets import Digits


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))  # (N, 1, 32, 32) -> (N, 6, 14, 14)
        x = self.pool(F.relu(self.conv2(x)))  # -> (N, 16, 5, 5)
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


def train_one_epoch(net, trainloader, criterion, optimizer, title):
    """The loss of every batch."""
    net.train()
    losses = []
    progress = tqdm(trainloader, desc=title, unit="batch")
    for inputs, labels in progress:
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.4f}")
    return losses


def validate(net, testloader, criterion):
    """The mean loss and the share of right answers on the held-out digits."""
    net.eval()
    loss_sum, correct, total = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in testloader:
            outputs = net(images)
            loss_sum += criterion(outputs, labels).item() * labels.size(0)
            _, predicted = torch.max(outputs, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return loss_sum / total, correct / total


def report(net, testloader, classes):
    """Print the accuracy over all held-out digits and for each class."""
    net.eval()
    class_correct = [0.0 for _ in classes]
    class_total = [0.0 for _ in classes]
    with torch.no_grad():
        for images, labels in testloader:
            _, predicted = torch.max(net(images), 1)
            c = predicted == labels
            for i in range(labels.size(0)):
                label = labels[i]
                class_correct[label] += c[i].item()
                class_total[label] += 1
    total = int(sum(class_total))
    accuracy = 100 * sum(class_correct) / total
    print(f"Accuracy of the network on the {total} test images: {accuracy:.1f} %")
    for name, right, count in zip(classes, class_correct, class_total, strict=True):
        print("Accuracy of %5s : %2d %%" % (name, 100 * right / count))


def draw(net, testset, train_losses, test_losses, file):
    """A grid of held-out digits with predicted and true labels, and the loss curve."""
    images = torch.stack([testset[i][0] for i in range(40)])
    with torch.no_grad():
        _, predicted = torch.max(net(images), 1)
    figure = plt.figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(5, 4))
    left.suptitle("predicted (true)")
    for i, axes in enumerate(left.subplots(5, 8).flat):
        answer, truth = predicted[i].item(), testset.targets[i]
        axes.imshow(images[i, 0].numpy(), cmap="gray_r")
        axes.set_title(f"{answer} ({truth})", color="black" if answer == truth else "red", size=9)
        axes.axis("off")
    axes = right.subplots()
    steps = len(train_losses) // len(test_losses)
    axes.plot(train_losses, color="0.8", label="training, each batch")
    axes.plot(range(steps, len(train_losses) + 1, steps), test_losses, "o-", label="held out")
    axes.set(xlabel="batch", ylabel="cross entropy", yscale="log")
    axes.legend()
    figure.savefig(file, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/digits_lenet"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(arguments.seed)
    transform = transforms.Compose(
        [
            transforms.Resize((32, 32)),
            transforms.ToTensor(),
            transforms.Normalize((0.5,), (0.5,)),
        ]
    )
    trainset = Digits(train=True, transform=transform)
    testset = Digits(train=False, transform=transform)
    trainloader = DataLoader(trainset, batch_size=16, shuffle=True)
    testloader = DataLoader(testset, batch_size=60, shuffle=False)

    net = Net()
    print(net)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=0.005)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=arguments.epochs)

    train_losses, test_losses = [], []
    for epoch in range(1, arguments.epochs + 1):
        title = f"epoch {epoch:2d}/{arguments.epochs}"
        train_losses += train_one_epoch(net, trainloader, criterion, optimizer, title)
        scheduler.step()
        test_loss, accuracy = validate(net, testloader, criterion)
        test_losses.append(test_loss)
        print(f"{title}: held-out loss {test_loss:.4f}, accuracy {100 * accuracy:.1f} %")
    print("Finished Training")

    report(net, testloader, testset.classes)
    checkpoint, picture = arguments.output / "digits_lenet.pth", arguments.output / "digits.png"
    torch.save(net.state_dict(), checkpoint)
    draw(net, testset, train_losses, test_losses, picture)
    print(f"Wrote {checkpoint} and {picture}")


if __name__ == "__main__":
    main()
