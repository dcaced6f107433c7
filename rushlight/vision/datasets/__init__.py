"""Data sets of images."""

from __future__ import annotations

from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100
from rushlight.vision.datasets.digits import Digits
from rushlight.vision.datasets.fakedata import FakeData
from rushlight.vision.datasets.folder import DatasetFolder, ImageFolder
from rushlight.vision.datasets.imagenet import ImageNet
from rushlight.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from rushlight.vision.datasets.vision import StandardTransform, VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "Digits",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "ImageNet",
    "StandardTransform",
    "VisionDataset",
]
