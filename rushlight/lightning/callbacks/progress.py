"""Progress bars. They look at the clock, not at numbers: at most five times a second."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from rushlight.lightning.callbacks.callback import Callback

#: Seconds between two drawings of a bar.
_PAUSE = 0.2


class ProgressBar(Callback):
    """The base of progress bars.

    >>> ProgressBar().is_enabled
    True
    """

    def __init__(self) -> None:
        self.is_enabled = True

    def disable(self) -> None:
        """Show nothing."""
        self.is_enabled = False

    def enable(self) -> None:
        """Show again."""
        self.is_enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """``print`` that does not tear the bar."""
        print(*args, **kwargs)

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """What stands behind the bar."""
        found = {}
        if trainer.loggers:
            version = trainer.loggers[0].version
            if version not in ("", None):
                found["v_num"] = version[-4:] if isinstance(version, str) else version
        return {**found, **trainer.progress_bar_metrics}


class TQDMProgressBar(ProgressBar):
    """A line for every epoch, with the values logged with ``prog_bar=True``.

    Args:
        refresh_rate: draw only at every so many batches; 0 shows nothing.
        process_position: the line on the screen.
        leave: let the bars of finished epochs stand.

    >>> TQDMProgressBar(refresh_rate=0).is_enabled
    False
    """

    def __init__(
        self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False
    ) -> None:
        super().__init__()
        self.refresh_rate = refresh_rate
        self.process_position = process_position
        self.leave = leave
        self.is_enabled = refresh_rate > 0
        self._bars: dict[str, Any] = {}
        self._next = 0.0

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """``print`` above the bar."""
        bar = next(iter(self._bars.values()), None)
        if bar is None:
            print(*args, sep=sep, **kwargs)
        else:
            bar.write(sep.join(map(str, args)), **kwargs)

    # drawing -------------------------------------------------------------------------------------

    def _open(self, name: str, title: str, total: float, leave: bool) -> None:
        if not self.is_enabled:
            return
        from tqdm import tqdm

        self._close(name)
        position = self.process_position + (name != "train" and "train" in self._bars)
        self._bars[name] = tqdm(
            total=None if math.isinf(total) else int(total), desc=title, leave=leave,
            position=position, file=sys.stdout, dynamic_ncols=True, mininterval=0,
        )  # fmt: skip

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()

    def _draw(self, name: str, done: int, trainer: Any = None, module: Any = None) -> None:
        """Draw, if the last drawing was long enough ago or all is done."""
        bar = self._bars.get(name)
        if bar is None:
            return
        now = time.monotonic()
        if now < self._next and done != bar.total:
            return
        if done % self.refresh_rate and done != bar.total:
            return
        self._next = now + _PAUSE
        bar.n = done
        if trainer is not None:
            bar.set_postfix(self.get_metrics(trainer, module), refresh=False)
        bar.refresh()

    # when ----------------------------------------------------------------------------------------

    def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
        """The bar of the batches before training."""
        self._open("sanity", "Sanity Checking", math.inf, False)

    def on_sanity_check_end(self, trainer: Any, pl_module: Any) -> None:
        """Away with it."""
        self._close("sanity")

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The bar of an epoch."""
        title = f"Epoch {trainer.current_epoch}"
        last = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
        self._open("train", title, trainer.num_training_batches, self.leave or last)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One batch more."""
        if time.monotonic() >= self._next or trainer.is_last_batch:
            self._draw("train", batch_idx + 1, trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The values of the epoch."""
        bar = self._bars.get("train")
        if bar is not None:
            bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=True)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Away with it."""
        self._close("train")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """The bar of a validation."""
        if not trainer.sanity_checking:
            self._open("validate", "Validation", sum(trainer.num_val_batches), False)
            self._done = 0

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """One batch more."""
        if not trainer.sanity_checking:
            self._done += 1
            self._draw("validate", self._done)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Away with it; the epoch's bar shows the new values."""
        self._close("validate")
        bar = self._bars.get("train")
        if bar is not None:
            bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=True)

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """The bar of a test."""
        self._open("test", "Testing", sum(trainer.num_test_batches), True)
        self._done = 0

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """One batch more."""
        self._done += 1
        self._draw("test", self._done)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """The bar stays."""
        self._close("test")

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """The bar of a prediction."""
        self._open("predict", "Predicting", sum(trainer.num_predict_batches), True)
        self._done = 0

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """One batch more."""
        self._done += 1
        self._draw("predict", self._done)

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """The bar stays."""
        self._close("predict")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave no bar behind."""
        for name in list(self._bars):
            self._close(name)
