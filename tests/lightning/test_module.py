"""Modules and data modules: hyperparameters, checkpoints, freezing, where they are."""

from __future__ import annotations

import copy
from argparse import Namespace

import pytest

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.lightning.hparams import AttributeDict
from rushlight.lightning.utilities import ModelSummary, rank_zero_only, summarize
from tests.lightning.boring import Boring, data, loader, quiet


class Sized(Boring):
    def __init__(self, width: int, lr: float = 0.1, *, name: str = "x", extra=None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["extra"])
        self.first = nn.Linear(4, width)


def test_arguments_are_kept() -> None:
    module = Sized(5, name="y", extra=print)
    assert dict(module.hparams) == {"width": 5, "lr": 0.1, "name": "y"}
    assert module.hparams.width == module.hparams["width"] == 5
    module.hparams.lr = 0.5
    assert module.hparams_initial.lr == 0.1
    with pytest.raises(AttributeError, match="Missing attribute"):
        module.hparams.depth


def test_some_arguments_objects_and_subclasses() -> None:
    class Some(pl.LightningModule):
        def __init__(self, a, b, c=3) -> None:
            super().__init__()
            self.save_hyperparameters("a", "c")

    assert dict(Some(1, 2).hparams) == {"a": 1, "c": 3}

    class Held(pl.LightningModule):
        def __init__(self, hparams) -> None:
            super().__init__()
            self.save_hyperparameters(hparams)

    for given in ({"lr": 0.1}, Namespace(lr=0.1)):
        assert Held(given).hparams.lr == 0.1
    with pytest.raises(ValueError, match="Unsupported config"):
        Held(3.0)

    class Child(Sized):
        def __init__(self, depth=2, **kwargs) -> None:
            super().__init__(**kwargs)

    assert dict(Child(width=3).hparams) == {"width": 3, "lr": 0.1, "name": "x", "depth": 2}
    with pytest.warns(UserWarning, match="already saved during checkpointing"):
        Some(nn.Linear(1, 1), 2)
    assert repr(AttributeDict(a=1, long=2)) == '"a":    1\n"long": 2'


def test_from_a_checkpoint(tmp_path) -> None:
    module = Sized(5, lr=0.25)
    trainer = quiet(tmp_path)
    trainer.fit(module, loader())
    path = tmp_path / "x.ckpt"
    trainer.save_checkpoint(path)
    loaded = Sized.load_from_checkpoint(path)
    assert loaded.hparams.lr == 0.25
    assert torch.equal(loaded.first.weight, module.first.weight)
    assert Sized.load_from_checkpoint(path, lr=1.0).hparams.lr == 1.0
    with pytest.raises(RuntimeError, match="size mismatch"):
        Sized.load_from_checkpoint(path, width=6)

    class Without(Boring):
        def __init__(self, width) -> None:
            super().__init__()

    trainer = quiet(tmp_path)
    trainer.fit(Without(3), loader())
    trainer.save_checkpoint(path)
    with pytest.raises(TypeError, match="width"):
        Without.load_from_checkpoint(path)

    class Odd(Boring):
        def __init__(self, activation=print, lr=0.1) -> None:
            super().__init__()
            self.save_hyperparameters()

    trainer = quiet(tmp_path)
    trainer.fit(Odd(), loader())
    with pytest.warns(UserWarning, match="activation are more than plain data"):
        trainer.save_checkpoint(path)
    assert Odd.load_from_checkpoint(path, activation=len).hparams.activation is len


def test_freezing() -> None:
    module = Boring()
    module.freeze()
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    module.unfreeze()
    assert module.training
    assert all(p.requires_grad for p in module.parameters())


def test_what_it_says_of_itself(tmp_path) -> None:
    module = Boring()
    assert (module.current_epoch, module.global_step, module.logger) == (0, 0, None)
    assert str(module.device) == "cpu"
    assert module.dtype == torch.float32
    assert (module.global_rank, module.local_rank, module.on_gpu) == (0, 0, False)
    with pytest.raises(RuntimeError, match="not attached to a `Trainer`"):
        module.trainer
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(module, loader())
    assert module.trainer is trainer
    assert (module.current_epoch, module.global_step) == (2, 12)
    assert copy.deepcopy(module)._trainer is None
    assert "_trainer" not in str(module.state_dict())
    assert trainer.is_global_zero
    assert trainer.world_size == 1
    assert rank_zero_only(lambda: 3)() == 3


class Data(pl.LightningDataModule):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.calls: list[str] = []

    def prepare_data(self) -> None:
        self.calls.append("prepare")

    def setup(self, stage) -> None:
        self.calls.append(f"setup {stage}")

    def teardown(self, stage) -> None:
        self.calls.append(f"teardown {stage}")

    def train_dataloader(self):
        return loader(batch_size=self.hparams.size)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader

    def state_dict(self):
        return {"calls": len(self.calls)}

    def load_state_dict(self, state_dict) -> None:
        self.loaded = state_dict["calls"]

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.moved = True
        return batch


def test_data_modules(tmp_path) -> None:
    held = Data(size=6)
    trainer = quiet(tmp_path)
    trainer.fit(Boring(), datamodule=held)
    assert trainer.global_step == 4
    assert trainer.datamodule is held
    assert held.trainer is trainer
    assert held.moved
    trainer.test(datamodule=held, verbose=False)
    assert held.calls == ["prepare", "setup fit", "teardown fit", "prepare", "setup test",
                          "teardown test"]  # fmt: skip
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert Data.load_from_checkpoint(tmp_path / "x.ckpt").hparams.size == 6
    again = Data()
    quiet(tmp_path, max_epochs=2).fit(Boring(), again, ckpt_path=tmp_path / "x.ckpt")
    assert again.loaded == 6
    made = pl.LightningDataModule.from_datasets(data(), data(), [data(), data()], batch_size=8)
    trainer = quiet(tmp_path)
    trainer.fit(Boring(), datamodule=made)
    assert trainer.global_step == 3
    assert len(trainer.test(datamodule=made, verbose=False)) == 2


def test_data_hooks_of_the_module(tmp_path) -> None:
    class Whole(Boring):
        def prepare_data(self) -> None:
            self.calls = ["prepare"]

        def setup(self, stage=None) -> None:
            self.calls.append(f"setup {stage}")

        def train_dataloader(self):
            return loader()

        def val_dataloader(self):
            return [loader()]

    module = Whole()
    trainer = quiet(tmp_path)
    trainer.fit(module)
    assert module.calls == ["prepare", "setup fit"]
    assert "val_loss" in trainer.callback_metrics
    with pytest.raises(NotImplementedError, match="train_dataloader"):
        Boring().train_dataloader()


def test_summary() -> None:
    module = Sized(5)
    module.layer.weight.requires_grad_(False)
    summary = ModelSummary(module, max_depth=-1)
    assert (summary.total_parameters, summary.trainable_parameters) == (40, 28)
    assert summary.layer_names == ["layer", "first"]
    assert summary.param_nums == [15, 25]
    assert str(summarize(module)) == str(summary)


def test_only_the_steps_are_needed() -> None:
    module = pl.LightningModule()
    for step in (module.training_step, module.configure_optimizers):
        with pytest.warns(UserWarning, match="must be implemented"):
            step()


def test_the_names_programs_import() -> None:
    from rushlight.lightning import callbacks, loggers, metrics

    assert pl.pytorch is pl
    assert pl.Callback is callbacks.Callback
    assert pl.metrics.functional.accuracy is metrics.functional.accuracy
    assert loggers.TensorBoardLogger("x", name="n", version=2).log_dir == "x/n/version_2"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pl.nothing
