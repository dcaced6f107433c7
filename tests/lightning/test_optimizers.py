"""What ``configure_optimizers`` may give, and optimization by hand."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.lightning.utilities import MisconfigurationException
from tests.lightning.boring import Boring, loader, numbers, quiet


def module_with(answer: Any) -> Boring:
    """A module whose ``configure_optimizers`` gives ``answer(sgd)``."""

    class Module(Boring):
        def configure_optimizers(self):
            return answer(torch.optim.SGD(self.parameters(), lr=1.0))

    return Module()


def halving(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


@pytest.mark.parametrize(
    ("answer", "rate"),
    [
        (lambda sgd: sgd, 1.0),
        (lambda sgd: [sgd], 1.0),
        (lambda sgd: ([sgd], [halving(sgd)]), 0.25),
        (lambda sgd: [[sgd], [{"scheduler": halving(sgd), "interval": "epoch"}]], 0.25),
        (lambda sgd: {"optimizer": sgd}, 1.0),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": halving(sgd)}, 0.25),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {
            "scheduler": halving(sgd), "interval": "step"}}, 0.5**12),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {
            "scheduler": halving(sgd), "interval": "step", "frequency": 4}}, 0.25),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {
            "scheduler": halving(sgd), "frequency": 2}}, 0.5),
        (lambda sgd: [{"optimizer": sgd, "lr_scheduler": halving(sgd)}], 0.25),
    ],
)  # fmt: skip
def test_forms_and_intervals(tmp_path, answer, rate) -> None:
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(module_with(answer), loader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(rate)
    assert trainer.global_step == 12


def test_plateau_watches_a_value(tmp_path) -> None:
    def answer(sgd):
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=0, factor=0.1)
        return {"optimizer": sgd, "lr_scheduler": plateau, "monitor": "constant"}

    module = module_with(answer)
    module.validation_step = lambda batch, batch_idx: module.log("constant", 1.0)
    trainer = quiet(tmp_path, max_epochs=4)
    trainer.fit(module, loader(), loader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3)

    def missing(sgd):
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd)
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": plateau, "monitor": "nothing"}}

    with pytest.raises(MisconfigurationException, match="metric nothing which is not available"):
        quiet(tmp_path).fit(module_with(missing), loader())


def test_an_accumulating_step_does_not_move_the_schedule(tmp_path) -> None:
    trainer = quiet(tmp_path, accumulate_grad_batches=3)
    trainer.fit(
        module_with(lambda sgd: {"optimizer": sgd, "lr_scheduler": {
            "scheduler": halving(sgd), "interval": "step"}}), loader()
    )  # fmt: skip
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.25
    assert trainer.estimated_stepping_batches == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda sgd: 5, "Unknown configuration"),
        (lambda sgd: {"scheduler": 1}, "Unknown configuration"),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {"interval": "step"}}, '"scheduler"'),
        (lambda sgd: {"optimizer": sgd, "lr_scheduler": {
            "scheduler": halving(sgd), "interval": "day"}}, '"step" or "epoch"'),
        (lambda sgd: torch.optim.lr_scheduler.ReduceLROnPlateau(sgd), "Unknown configuration"),
        (lambda sgd: ([sgd], [torch.optim.lr_scheduler.ReduceLROnPlateau(sgd)]), "a monitor"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, answer, message) -> None:
    with pytest.raises(ValueError, match=message):
        quiet(tmp_path).fit(module_with(answer), loader())


def test_none_trains_nothing(tmp_path) -> None:
    module = module_with(lambda sgd: None)
    before = module.layer.weight.tolist()
    trainer = quiet(tmp_path)
    trainer.fit(module, loader())
    assert module.layer.weight.tolist() == before
    assert trainer.global_step == 0


def test_two_optimizers_need_the_hand(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="manual optimization"):
        quiet(tmp_path).fit(module_with(lambda sgd: [sgd, sgd]), loader())


def test_lbfgs_gets_its_closure(tmp_path) -> None:
    class Closed(Boring):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.5, max_iter=4)

    module = Closed()
    trainer = quiet(tmp_path, max_epochs=2, limit_train_batches=1)
    trainer.fit(module, loader(batch_size=24))
    assert trainer.global_step == 2
    assert len(module.losses) > 4
    assert numbers(module.losses)[-1] < numbers(module.losses)[0]


class ByHand(Boring):
    """Two optimizers, stepped in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(4, 3)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        chosen = first if batch_idx % 2 == 0 else second
        self.toggle_optimizer(chosen)
        x, y = batch
        loss = nn.functional.cross_entropy(self.layer(x) + self.other(x), y)
        assert self.layer.weight.requires_grad is (chosen is first)
        assert self.other.weight.requires_grad is (chosen is second)
        chosen.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(chosen, 0.5, "norm")
        chosen.step()
        self.untoggle_optimizer(chosen)
        if batch_idx == 5:
            for schedule in self.lr_schedulers():
                schedule.step()
        self.losses.append(loss.detach())

    def configure_optimizers(self):
        first = torch.optim.SGD(self.layer.parameters(), lr=1.0)
        second = torch.optim.Adam(self.other.parameters(), lr=1.0)
        return [first, second], [halving(first), halving(second)]


def test_by_hand(tmp_path) -> None:
    module = ByHand()
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(module, loader())
    assert trainer.global_step == 12
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [0.25, 0.25]
    assert len(trainer.optimizers[0]._hooks["post"]) == 1  # the schedule's own
    with pytest.raises(MisconfigurationException, match="gradient accumulation"):
        quiet(tmp_path, accumulate_grad_batches=2).fit(ByHand(), loader())


def test_manual_backward_is_for_the_hand(tmp_path) -> None:
    class Mixed(Boring):
        def training_step(self, batch, batch_idx):
            self.manual_backward(self.loss(batch))

    with pytest.raises(RuntimeError, match="automatic_optimization = False"):
        quiet(tmp_path).fit(Mixed(), loader())
