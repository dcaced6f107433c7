"""Photograph TensorBoard's pages of a small training run, for ``docs/tensorboard.md``.

``python -m tools.tensorboard_pages`` trains LeNet on the digits that come with rushlight, starts
TensorBoard on 127.0.0.1, and writes ``docs/images/tensorboard-{scalars,images,graph}.png`` as
Chromium shows them. It needs the extra ``tensorboard`` and the program ``chromium``, no network.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tensorboard import program

import rushlight as torch
from examples.digits_lenet import Net
from rushlight.utils.data import DataLoader
from rushlight.utils.tensorboard import SummaryWriter
from rushlight.vision import transforms
from rushlight.vision.datasets import Digits
from rushlight.vision.utils import make_grid
from tools.browser import Browser

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"

#: JavaScript that looks through the shadow roots, too: TensorBoard's pages are full of them.
FIND = """
function all(selector, root = document) {
  let found = [...root.querySelectorAll(selector)];
  for (const one of root.querySelectorAll('*'))
    if (one.shadowRoot) found = found.concat(all(selector, one.shadowRoot));
  return found;
}
"""

#: Opens the node of the network and one of its layers, and lets the drawing fill the page.
OPEN_NODE = """
function node(name) { return all('g.node').find(one => one.dataset.name == name) }
function open(name) {
  const shape = node(name).querySelector('.nodeshape');
  shape.dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));
}
"""
FIT = """
all('tf-graph-scene')[0].selectedNode = null;
all('paper-button').find(one => one.innerText.includes('Fit')).click()
"""


@dataclass
class Page:
    """A page of TensorBoard.

    Attributes:
        address: behind the server's.
        size: of the window.
        steps: what to wait for, each with what to do then.
    """

    address: str
    size: tuple[int, int]
    steps: Sequence[tuple[str, str]]


PAGES = {
    "scalars": Page("#scalars", (1200, 850), [("all('vz-line-chart2').length >= 3", "")]),
    "images": Page(
        "#images",
        (1200, 960),
        [("all('img').filter(one => one.naturalWidth > 30).length >= 3", "")],
    ),
    "graph": Page(
        "#graphs",
        (1200, 960),
        [
            ("all('g.node').length >= 3", "open('Net')"),
            ("node('Net/Linear[fc1]')", "open('Net/Linear[fc1]')"),
            ("node('Net/Linear[fc1]/linear')", FIT),
        ],
    ),
}


def train(folder: Path, epochs: int) -> None:
    """Train LeNet on the digits, and log what a learner wants to see."""
    torch.manual_seed(0)
    steps = [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    transform = transforms.Compose(steps)
    trainset, testset = (Digits(train=x, transform=transform) for x in (True, False))
    tests, labels = next(iter(DataLoader(testset, batch_size=len(testset))))
    net, criterion = Net(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    step = 0
    with SummaryWriter(folder) as writer:
        writer.add_graph(net, tests[:4])
        for epoch in range(epochs):
            for inputs, targets in DataLoader(trainset, batch_size=16, shuffle=True):
                optimizer.zero_grad()
                loss = criterion(net(inputs), targets)
                loss.backward()
                optimizer.step()
                writer.add_scalar("Loss/train", loss, step)
                step += 1
            with torch.no_grad():
                outputs = net(tests)
            right = outputs.argmax(1) == labels
            writer.add_scalar("Loss/test", criterion(outputs, labels), step)
            writer.add_scalar("Accuracy/test", right.float().mean(), step)
            filters = make_grid(net.conv1.weight.detach(), nrow=6, normalize=True)
            writer.add_image("filters/conv1", filters, epoch)
        writer.add_image("digits/test", make_grid(tests[:64] * 0.5 + 0.5), step)
        writer.add_image("digits/wrong", make_grid(tests[~right][:8] * 0.5 + 0.5), step)


def photograph(logs: Path, target: Path) -> None:
    """Write a picture of each page."""
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", str(logs), "--host", "127.0.0.1",
                          "--port", "0", "--load_fast", "false"])  # fmt: skip
    address = board.launch()
    target.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        file = target / f"tensorboard-{name}.png"
        with Browser(page.size) as browser:
            browser.open(f"{address}{page.address}")
            browser.run(f"{FIND}{OPEN_NODE}")
            for there, then in page.steps:
                browser.wait(there)
                browser.settle()
                browser.run(then)
            browser.settle()
            file.write_bytes(browser.picture())
        print(f"{file}: {file.stat().st_size // 1000} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--output", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    if shutil.which("chromium") is None:
        parser.error("chromium is not installed: apt-get install chromium")
    output = arguments.output.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        train(Path("runs", "lenet"), arguments.epochs)
        photograph(Path("runs"), output)


if __name__ == "__main__":
    main()
