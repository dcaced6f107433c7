"""Train, resume and test any of torchvision's models on any of its data sets, from a command line.

    python -m rushlight run examples/main.py --train
    python -m rushlight run examples/main.py --dataset digits --model mobilenet_v2 --train
    python -m rushlight run examples/main.py --dataset cifar10 --download --train
    python -m rushlight run examples/main.py --dataset folder --dataset-path pictures --train
    python -m rushlight run examples/main.py --dataset digits --train --resume     # goes on
    python -m rushlight run examples/main.py --dataset digits                      # tests the best

An ordinary PyTorch script: ``python examples/main.py`` runs it on PyTorch, where torchvision has
all of these data sets but ``digits``. ``fake`` needs no files at all. ``folder`` wants ``train``
and ``val`` under the path, and in each a folder of pictures for every class.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms
from torchvision.utils import make_grid
from tqdm import tqdm

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # the package tensorboard is not installed
    SummaryWriter = None

DATASETS = ("fake", "digits", "folder", "mnist", "fashion-mnist", "cifar10", "cifar100", "imagenet")
LARGE = ("folder", "imagenet")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fake", choices=DATASETS, help="dataset name")
    parser.add_argument("--dataset-path", "--dataset_path", default="data", help="dataset path")
    parser.add_argument("--download", action="store_true", help="fetch the dataset if it is absent")
    parser.add_argument("--model", default="resnet18", help="model name, as in torchvision.models")
    parser.add_argument("--weights", help="start from trained weights, as DEFAULT")
    parser.add_argument("--train", action="store_true", help="train; without it only test")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--image-size", type=int, help="224 for large pictures, 32 for small")
    parser.add_argument("--workers", type=int, default=0, help="processes that load pictures")
    parser.add_argument("--limit-batches", type=int, help="of each epoch, to try things out")
    parser.add_argument("--print-freq", type=int, default=10, help="batches between two records")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder, runs/<dataset>-<model> by default")
    arguments = parser.parse_args(words)
    if arguments.image_size is None:
        arguments.image_size = 224 if arguments.dataset in LARGE else 32
    if arguments.output is None:
        arguments.output = Path("runs") / f"{arguments.dataset}-{arguments.model}"
    return arguments


def build_transform(arguments, train):
    size = (arguments.image_size, arguments.image_size)
    steps = [transforms.Grayscale(3)] if arguments.dataset in ("digits", "mnist") else []
    if train and arguments.dataset in LARGE:
        steps += [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    else:
        steps.append(transforms.Resize(size))
    if train and arguments.dataset.startswith("cifar"):
        padding = arguments.image_size // 8
        steps += [transforms.RandomCrop(size, padding=padding), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def build_dataset(arguments, train):
    name, path = arguments.dataset, Path(arguments.dataset_path)
    transform = build_transform(arguments, train)
    if name == "fake":
        side, offset = arguments.image_size, 0 if train else 10_000
        return datasets.FakeData(
            512 if train else 128, (3, side, side), 10, transform, random_offset=offset
        )
    if name == "digits":
        return datasets.Digits(train=train, transform=transform)
    if name == "folder":
        return datasets.ImageFolder(path / ("train" if train else "val"), transform)
    if name == "imagenet":
        return datasets.ImageNet(path, split="train" if train else "val", transform=transform)
    classes = {
        "mnist": datasets.MNIST,
        "fashion-mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    return classes[name](path, train=train, transform=transform, download=arguments.download)


def build_loader(dataset, arguments, train):
    return DataLoader(
        dataset, batch_size=arguments.batch_size, shuffle=train, num_workers=arguments.workers,
        drop_last=train,
    )  # fmt: skip


def build_model(arguments, num_classes):
    """A model with as many outputs as there are classes; trained weights keep all but the last."""
    if arguments.weights is None:
        options = {"image_size": arguments.image_size} if arguments.model.startswith("vit") else {}
        return models.get_model(arguments.model, num_classes=num_classes, **options)
    model = models.get_model(arguments.model, weights=arguments.weights)
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    name, last = layers[-1]
    if isinstance(last, nn.Linear):
        new = nn.Linear(last.in_features, num_classes)
    else:  # SqueezeNet ends in a convolution
        new = nn.Conv2d(last.in_channels, num_classes, last.kernel_size)
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
    return model


def first(batches, limit):
    """The first batches of an epoch, or all of them."""
    for number, batch in enumerate(batches):
        if limit is not None and number >= limit:
            return
        yield batch


def loss_of(outputs, labels, criterion):
    """The loss; a network with heads on the way gives several outputs."""
    if isinstance(outputs, tuple):
        main, *others = outputs
        return criterion(main, labels) + 0.3 * sum(criterion(other, labels) for other in others)
    return criterion(outputs, labels)


class Trainer:
    """The model, what trains it, and what has happened so far."""

    def __init__(self, arguments, num_classes):
        self.arguments = arguments
        self.model = build_model(arguments, num_classes)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.SGD(
            self.model.parameters(), lr=arguments.lr, momentum=arguments.momentum,
            weight_decay=arguments.weight_decay,
        )  # fmt: skip
        self.scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, arguments.epochs)
        self.history = []  # one record for each epoch
        self.checkpoint = arguments.output / "checkpoint.pt"
        self.best = arguments.output / "best.pt"

    def save(self):
        """All that the next epoch depends on, the random numbers' state too."""
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "history": self.history,
                "random": torch.get_rng_state(),
            },
            self.checkpoint,
        )
        if self.history[-1]["accuracy"] == max(record["accuracy"] for record in self.history):
            torch.save(self.model.state_dict(), self.best)

    def resume(self):
        state = torch.load(self.checkpoint)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.history = state["history"]
        torch.set_rng_state(state["random"])
        print(f"Resumed {self.checkpoint} after epoch {len(self.history)}")

    def train_epoch(self, loader, writer):
        """The mean loss of an epoch."""
        self.model.train()
        epoch, limit = len(self.history) + 1, self.arguments.limit_batches
        losses = []
        progress = tqdm(first(loader, limit), total=limit or len(loader), desc=f"epoch {epoch}")
        for number, (inputs, labels) in enumerate(progress):
            self.optimizer.zero_grad()
            loss = loss_of(self.model(inputs), labels, self.criterion)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
            if number % self.arguments.print_freq == 0:
                progress.set_postfix(loss=f"{loss.item():.4f}")
                if writer is not None:
                    step = (epoch - 1) * len(loader) + number
                    writer.add_scalar("loss/batch", loss.item(), step)
        return torch.stack(losses).mean().item()

    def test(self, loader):
        """The mean loss and the share of right answers."""
        self.model.eval()
        loss_sum, correct, total = 0.0, 0, 0
        with torch.no_grad():
            for inputs, labels in first(loader, self.arguments.limit_batches):
                outputs = self.model(inputs)
                loss_sum += self.criterion(outputs, labels).item() * labels.size(0)
                correct += (outputs.argmax(1) == labels).sum().item()
                total += labels.size(0)
        return loss_sum / total, correct / total

    def fit(self, trainloader, testloader, writer):
        """Train the epochs that are left, and keep a checkpoint of each."""
        while len(self.history) < self.arguments.epochs:
            train_loss = self.train_epoch(trainloader, writer)
            lr = self.scheduler.get_last_lr()[0]
            self.scheduler.step()
            test_loss, accuracy = self.test(testloader)
            record = {"train_loss": train_loss, "test_loss": test_loss, "accuracy": accuracy}
            self.history.append(record)
            self.save()
            epoch = len(self.history)
            if writer is not None:
                writer.add_scalars("loss", {"train": train_loss, "test": test_loss}, epoch)
                writer.add_scalar("accuracy", accuracy, epoch)
                writer.add_scalar("lr", lr, epoch)
            print(
                f"epoch {epoch}/{self.arguments.epochs}: lr {lr:.4f}, training loss "
                f"{train_loss:.4f}, test loss {test_loss:.4f}, accuracy {100 * accuracy:.2f} %"
            )


def draw(trainer, dataset, file):
    """Test pictures with the model's answers, and the curves of the training."""
    images, labels = zip(*[dataset[i] for i in range(min(16, len(dataset)))], strict=True)
    batch = torch.stack(images)
    trainer.model.eval()
    with torch.no_grad():
        answers = trainer.model(batch).argmax(1).tolist()
    names = getattr(dataset, "classes", None) or [str(number) for number in range(1000)]
    shown = batch * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6), layout="constrained")
    left.imshow(make_grid(shown, nrow=4).clamp(0, 1).permute(1, 2, 0).numpy())
    rows = [answers[i : i + 4] for i in range(0, len(answers), 4)]
    text = "\n".join(", ".join(str(names[answer]) for answer in row) for row in rows)
    right_answers = sum(a == b for a, b in zip(answers, labels, strict=True))
    left.set_title(f"answers, {right_answers} of {len(answers)} right:\n{text}", size=8)
    left.axis("off")
    epochs = range(1, len(trainer.history) + 1)
    for key in ("train_loss", "test_loss"):
        right.plot(epochs, [record[key] for record in trainer.history], "o-", label=key)
    right.plot(epochs, [record["accuracy"] for record in trainer.history], "s--", label="accuracy")
    right.set(xlabel="epoch", title=f"{trainer.arguments.model} on {trainer.arguments.dataset}")
    right.legend()
    figure.savefig(file, dpi=100)
    plt.close(figure)


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    testset = build_dataset(arguments, train=False)
    testloader = build_loader(testset, arguments, train=False)
    num_classes = len(testset.classes) if hasattr(testset, "classes") else testset.num_classes
    trainer = Trainer(arguments, num_classes)
    size = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(f"{arguments.model}: {size:,} parameters, {num_classes} classes")

    if arguments.train:
        if arguments.resume:
            trainer.resume()
        trainloader = build_loader(build_dataset(arguments, train=True), arguments, train=True)
        writer = None
        if SummaryWriter is not None:
            done = len(trainer.history) * len(trainloader)
            writer = SummaryWriter(arguments.output / "tensorboard", purge_step=done or None)
        trainer.fit(trainloader, testloader, writer)
        if writer is not None:
            writer.close()
        history = arguments.output / "history.json"
        history.write_text(json.dumps(trainer.history, indent=1) + "\n")
        picture = arguments.output / "result.png"
        draw(trainer, testset, picture)
        print(f"Wrote {trainer.checkpoint}, {trainer.best}, {history} and {picture}")
    else:
        trainer.model.load_state_dict(torch.load(trainer.best))
        loss, accuracy = trainer.test(testloader)
        print(f"test loss {loss:.4f}, accuracy {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
