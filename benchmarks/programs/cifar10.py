"""Seed 001's image classifier, on CIFAR-10 as a folder of JPEG files: an ordinary PyTorch script.

Usage: cifar10.py FOLDER [EPOCHS [WORKERS [SEED]]], with FOLDER/train and FOLDER/test in one folder
per class.
"""

from __future__ import annotations

import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torchvision
import torchvision.transforms as transforms


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


def loader(folder, shuffle, workers):
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    dataset = torchvision.datasets.ImageFolder(folder, transform=transform)
    return torch.utils.data.DataLoader(
        dataset, batch_size=4, shuffle=shuffle, num_workers=workers
    )


def main(root, epochs=2, workers=2, seed=1):
    torch.manual_seed(seed)
    start = time.time()
    trainloader = loader(root + "/train", True, workers)
    testloader = loader(root + "/test", False, workers)
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    for epoch in range(epochs):  # loop over the dataset multiple times
        running_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            # get the inputs
            inputs, labels = data

            # zero the parameter gradients
            optimizer.zero_grad()

            # forward + backward + optimize
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()

            # print statistics
            running_loss += loss.item()
            if i % 2000 == 1999:  # print every 2000 mini-batches
                print("[%d, %5d] loss: %.3f" % (epoch + 1, i + 1, running_loss / 2000), flush=True)
                running_loss = 0.0
    print("Finished Training in %.1f s" % (time.time() - start), flush=True)

    start = time.time()
    correct = 0
    total = 0
    with torch.no_grad():
        for data in testloader:
            images, labels = data
            outputs = net(images)
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    print("Accuracy of the network on the %d test images: %d %%" % (total, 100 * correct / total))
    print("Finished Testing in %.1f s" % (time.time() - start))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
