"""The trainer's losses are those of a loop written by hand, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.utils.data import DataLoader
from tests.lightning.boring import Boring, data, numbers, quiet

EPOCHS = 4
ROOT = Path(__file__).resolve().parents[2]


class Deep(Boring):
    """With everything that has randomness or a state."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3)
        )

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]


def by_hand(model: Deep, loader: DataLoader, clip: float | None, parts: int) -> list[float]:
    """The loop as one writes it."""
    (optimizer,), (schedule,) = model.configure_optimizers()
    losses = []
    model.train()
    for _ in range(EPOCHS):
        for index, (x, y) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(x), y)
            if index % parts == 0:
                optimizer.zero_grad()
            (loss if parts == 1 else loss / parts).backward()
            if (index + 1) % parts == 0 or index + 1 == len(loader):
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
            losses.append(loss.detach())
        schedule.step()
    return numbers(losses)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(("clip", "parts"), [(None, 1), (0.5, 1), (None, 3)])
def test_equal_to_the_last_bit(tmp_path, request, compiled, clip, parts) -> None:
    if not compiled:
        request.getfixturevalue("interpreted")
    else:  # what has come often enough stays compiled, in both loops
        for _ in range(2):
            by_hand(Deep(), DataLoader(data(80), 8, shuffle=True), clip, parts)
    torch.manual_seed(0)
    expected = by_hand(Deep(), DataLoader(data(80), 8, shuffle=True), clip, parts)
    torch.manual_seed(0)
    model = Deep()
    trainer = quiet(
        tmp_path, max_epochs=EPOCHS, gradient_clip_val=clip, accumulate_grad_batches=parts
    )
    trainer.fit(model, DataLoader(data(80), 8, shuffle=True))
    assert numbers(model.losses) == expected
    assert expected[-1] < expected[0]


COLD = """
import sys
import rushlight as torch
from tests.lightning.test_losses import Deep, by_hand, data, numbers, quiet
from rushlight.utils.data import DataLoader
torch.manual_seed(0)
model, loader = Deep(), DataLoader(data(80), 8, shuffle=True)
if sys.argv[1] == "by hand":
    losses = by_hand(model, loader, None, 1)
else:
    quiet(sys.argv[2], max_epochs=4).fit(model, loader)
    losses = numbers(model.losses)
print([loss.hex() for loss in losses])
"""


def test_equal_from_the_first_step_of_a_process(tmp_path) -> None:
    """Also while the program goes over from the interpreter to compiled code."""
    printed = []
    for kind in ("by hand", "trainer"):
        done = subprocess.run(
            [sys.executable, "-c", COLD, kind, str(tmp_path)], capture_output=True, text=True,
            check=True, cwd=ROOT,
        )  # fmt: skip
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert printed[0].count("0x") == 40


def test_a_closure_gives_the_same(tmp_path, interpreted) -> None:
    """An optimizer that is handed the closure sees the same steps."""

    class Own(Deep):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
            optimizer.step(closure=optimizer_closure)

    losses = []
    for kind in (Deep, Own):
        pl.seed_everything(0, verbose=False)
        model = kind()
        quiet(tmp_path, max_epochs=2).fit(model, DataLoader(data(40), 8, shuffle=True))
        losses.append(numbers(model.losses))
    assert losses[0] == losses[1]


def test_logging_and_validation_change_nothing(tmp_path, interpreted) -> None:
    losses = []
    for often in (1, 1000):
        pl.seed_everything(0, verbose=False)
        model = Deep()
        validation = DataLoader(data(16), 8) if often == 1 else None
        trainer = quiet(
            tmp_path, max_epochs=2, log_every_n_steps=often,
            logger=pl.loggers.CSVLogger(tmp_path),
        )  # fmt: skip
        trainer.fit(model, DataLoader(data(40), 8), validation)
        losses.append(numbers(model.losses))
    assert losses[0][:5] == losses[1][:5]
