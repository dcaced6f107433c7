"""The loops: training from the first batch to the last, and evaluation. Read from top to bottom.

Nothing here reads a number that a step computes: losses and logged values are tensors until a
progress bar, a logger or the end of an epoch wants them.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import inference_mode, no_grad
from rushlight.lightning.calls import Calls
from rushlight.lightning.logged import Logged, as_number
from rushlight.lightning.places import Place
from rushlight.lightning.progress import Progress
from rushlight.lightning.sources import Source
from rushlight.lightning.steps import (
    detached,
    loss_of,
    needs_no_closure,
    outputs_of,
    step_arguments,
    validation_interval,
)


class TrainingLoop:
    """Epochs of training steps, with validation between them.

    Args:
        trainer: whose settings hold.
        module: what is trained.
        calls: the hooks somebody has written.
        source: the training batches.
        validation: the loop that validates, or ``None``.
    """

    def __init__(
        self, trainer: Any, module: Any, calls: Calls, source: Source,
        validation: EvaluationLoop | None,
    ) -> None:  # fmt: skip
        self.trainer = trainer
        self.module = module
        self.calls = calls
        self.source = source
        self.validation = validation
        self.progress: Progress = trainer.progress
        self.logged = Logged()
        self.outputs: list[Any] | None = [] if module.training_epoch_end is not None else None
        self._first = True  # what is logged before the first epoch belongs to it
        self.arguments = step_arguments(module.training_step)
        self.step_place = Place(self.logged, True, False)
        self.epoch_place = Place(self.logged, False, True)
        self.check_after = validation_interval(trainer, source.count)

    def run(self) -> None:
        """Train until nothing is left to do."""
        trainer, calls = self.trainer, self.calls
        if self._finished():
            return
        trainer.place = self.epoch_place
        for call in calls.on_train_start:
            call()
        while not self._finished():
            self.epoch()
        trainer.place = None
        for call in calls.on_train_end:
            call()
        self.source.close()

    def epoch(self) -> None:
        """One epoch, or the rest of the one that a checkpoint was written in."""
        trainer, progress = self.trainer, self.progress
        trainer.place = self.epoch_place
        if progress.middle:
            progress.middle = False
        else:
            progress.batch, progress.validated, progress.ended = 0, False, False
            if not self._first:
                self.logged.begin()
                if self.outputs is not None:
                    self.outputs.clear()
            self.source.begin(progress.epoch)
            for call in self.calls.on_train_epoch_start:
                call()
        if progress.batch and not progress.validated:
            self._validate_if_due(progress.batch == self.source.count)
        if not self._left_epoch():
            for batch, last in self.source.batches(progress.batch):
                if self.batch(batch, progress.batch, last) or self._left_epoch():
                    break
        if not trainer.interrupted:  # else the epoch goes on another time
            self.end_epoch()

    def batch(self, batch: Any, index: int, last: bool) -> bool:
        """One batch, and the validation that is due after it; whether to leave out the rest."""
        trainer, progress, module = self.trainer, self.progress, self.module
        trainer.is_last_batch = last
        trainer.place = place = self.step_place
        if trainer.prepare_batch is not None:
            batch = trainer.prepare_batch(batch, 0)
        place.batch, place.size = batch, None
        for call in self.calls.on_train_batch_start:
            if call(batch, index) == -1:
                return True
        arguments = (batch, index)[: self.arguments]
        accumulating = (index + 1) % trainer.accumulate_grad_batches != 0 and not last
        if module._automatic_optimization:
            outputs = self.optimize(arguments, index, accumulating)
        else:
            with trainer.precision.context():
                outputs = outputs_of(module.training_step(*arguments))
            accumulating = False
        if self.outputs is not None:
            self.outputs.append(outputs)
        progress.batch = index + 1
        progress.total += 1
        progress.stepped += not accumulating
        progress.validated = False
        if trainer.lr_scheduler_configs and module._automatic_optimization:
            self._schedule("step", accumulating, plateau=False)
            if last:
                self._schedule("epoch", False, plateau=False)
        for call in self.calls.on_train_batch_end:
            call(outputs, batch, index)
        if not accumulating and trainer.loggers and self._logs_now():
            trainer.log_metrics(self.logged.step_values("logger"), progress.stepped - 1)
        for call in self.calls.on_train_batch_saved:
            call(outputs, batch, index)
        place.batch = None
        self._validate_if_due(last)
        return False

    def optimize(
        self, arguments: tuple[Any, ...], index: int, accumulating: bool
    ) -> dict[str, Any]:
        """Loss, gradients and the optimizer's step; what ``on_train_batch_end`` is given."""
        trainer, module, calls = self.trainer, self.module, self.calls
        optimizer = trainer.optimizers[0] if trainer.optimizers else None
        parts = trainer.accumulate_grad_batches
        output: Any = None

        def closure() -> Any:
            nonlocal output
            with trainer.precision.context():
                output = module.training_step(*arguments)
            loss = loss_of(output)
            if optimizer is not None and index % parts == 0:
                for call in calls.on_before_zero_grad:
                    call(optimizer)
                module.optimizer_zero_grad(self.progress.epoch, index, optimizer)
            if loss is not None:
                if loss.requires_grad or optimizer is not None:
                    self.backward(loss if parts == 1 else loss / parts)
            if not accumulating and optimizer is not None:
                for call in calls.on_before_optimizer_step:
                    call(optimizer)
                if trainer.gradient_clip_val or trainer.clips_itself:
                    module.configure_gradient_clipping(
                        optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                    )
            return loss

        if accumulating or optimizer is None:
            closure()
        elif trainer.steps_itself or not needs_no_closure(optimizer):
            module.optimizer_step(self.progress.epoch, index, optimizer, closure)
            self.progress.steps += 1
        else:
            closure()
            optimizer.step()
            self.progress.steps += 1
        return outputs_of(output)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The gradients of a loss, with the hooks around them."""
        for call in self.calls.on_before_backward:
            call(loss)
        self.module.backward(loss, *args, **kwargs)
        for call in self.calls.on_after_backward:
            call()

    def end_epoch(self) -> None:
        """Tell the epoch's end, read what was logged, and step the schedules that wait for it."""
        trainer, progress, module, calls = self.trainer, self.progress, self.module, self.calls
        trainer.place = self.epoch_place
        if not progress.ended:
            if self.outputs is not None:
                module.training_epoch_end(list(self.outputs))
            for call in calls.on_train_epoch_end:
                call()
            values = self.logged.epoch_values()
            trainer.update_metrics(values)
            shown = self.logged.epoch_values("logger")
            if shown and trainer.loggers:
                trainer.log_metrics(shown, max(progress.stepped - 1, 0))
            self.logged.end()
            if module._automatic_optimization:
                self._schedule("epoch", False, plateau=True)
            progress.ended = True
            for call in calls.on_train_epoch_judged:
                call()
        progress.epoch += 1
        progress.batch, progress.ended = 0, False
        self._first = False
        for logger in trainer.loggers:
            logger.save()

    # when ----------------------------------------------------------------------------------------

    def _finished(self) -> bool:
        trainer, progress = self.trainer, self.progress
        if progress.middle and self.source.count and not progress.ended:
            return False
        if self.source.count == 0 or trainer.interrupted:
            return True
        if 0 <= trainer.max_steps <= progress.steps:
            return True
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= progress.epoch:
            return True
        return bool(trainer.should_stop) and self._may_stop()

    def _may_stop(self) -> bool:
        trainer, progress = self.trainer, self.progress
        epochs = progress.epoch + progress.ended
        return epochs >= (trainer.min_epochs or 0) and progress.steps >= (trainer.min_steps or 0)

    def _left_epoch(self) -> bool:
        trainer = self.trainer
        if trainer.interrupted or 0 <= trainer.max_steps <= self.progress.steps:
            return True
        return trainer.should_stop and self._may_stop()

    def _logs_now(self) -> bool:
        return self.progress.stepped % self.trainer.log_every_n_steps == 0

    def _validate_if_due(self, last: bool) -> None:
        trainer, progress = self.trainer, self.progress
        every = trainer.check_val_every_n_epoch
        if self.validation is not None and (every is None or (progress.epoch + 1) % every == 0):
            if math.isinf(self.check_after):
                due = last
            else:
                index = progress.total if every is None else progress.batch
                due = index % self.check_after == 0
            if due or (trainer.should_stop and self._may_stop()):
                self.module.on_validation_model_zero_grad()
                progress.validated = True
                self.validation.run()
                trainer.stage = "fit"
        progress.validated = True
        if trainer.lr_scheduler_configs and self.module._automatic_optimization:
            self._schedule("step", False, plateau=True)
        trainer.place = self.epoch_place

    def _schedule(self, interval: str, accumulating: bool, plateau: bool) -> None:
        """Step the learning-rate schedules that are due."""
        trainer, progress = self.trainer, self.progress
        if accumulating:
            return
        index = progress.batch if interval == "step" else progress.epoch + 1
        for config in trainer.lr_scheduler_configs:
            if config.interval != interval or config.reduce_on_plateau is not plateau:
                continue
            if index % config.frequency:
                continue
            value = None
            if plateau:
                value = trainer.monitored(config.monitor, config.strict)
                if value is None:
                    continue
            self.module.lr_scheduler_step(config.scheduler, value)


class EvaluationLoop:
    """One pass over the loaders of validation, test or prediction.

    Args:
        trainer: whose settings hold.
        module: what is evaluated.
        calls: the hooks somebody has written.
        stage: ``validate``, ``test``, ``predict`` or ``sanity_check``.
        sources: the loaders' batches.
    """

    def __init__(
        self, trainer: Any, module: Any, calls: Calls, stage: str, sources: list[Source]
    ) -> None:
        self.trainer = trainer
        self.module = module
        self.calls = calls.evaluation(stage)
        self.stage = stage
        self.sources = sources
        self.logged = Logged()
        prefix = "validation" if stage in ("validate", "sanity_check") else stage
        self.step = getattr(module, f"{prefix}_step")
        self.end = getattr(module, f"{prefix}_epoch_end", None)
        self.to_eval = getattr(module, f"on_{prefix}_model_eval")
        self.to_train = getattr(module, f"on_{prefix}_model_train", None)
        self.arguments = step_arguments(self.step)
        self.collect = self.end is not None or (stage == "predict" and trainer.return_predictions)

    def run(self) -> list[list[Any]]:
        """Evaluate; the results of the steps, by loader, where somebody wants them."""
        trainer, module, calls = self.trainer, self.module, self.calls
        outside, stage = trainer.place, trainer.stage
        trainer.stage = self.stage
        modes = {child: child.training for child in module.modules()}
        self.to_eval()
        trainer.place = Place(self.logged, False, True)
        self.logged.begin()
        with inference_mode() if trainer.inference_mode else no_grad():
            for call in calls.start:
                call()
            for call in calls.epoch_start:
                call()
            outputs = [self.pass_over(number) for number in range(len(self.sources))]
            trainer.place = Place(self.logged, False, True)
            if self.end is not None:
                self.end(outputs[0] if len(outputs) == 1 else outputs)
            for call in calls.epoch_end:
                call()
            trainer.update_metrics(self.logged.epoch_values())
            self.report()
            self.found = self.results()
            self.logged.end()
            for call in calls.end:
                call()
        if self.to_train is not None:
            self.to_train()
        for child, mode in modes.items():
            child.training = mode
        trainer.place, trainer.stage = outside, stage
        return outputs

    def pass_over(self, number: int) -> list[Any]:
        """All batches of one loader."""
        trainer, source, calls = self.trainer, self.sources[number], self.calls
        several = len(self.sources) > 1
        loader = number if several else None
        trainer.place = place = Place(self.logged, False, True, loader)
        outputs: list[Any] = []
        source.begin(trainer.current_epoch)
        for index, (batch, last) in enumerate(source.batches(0)):
            trainer.is_last_batch = last
            if trainer.prepare_batch is not None:
                batch = trainer.prepare_batch(batch, number)
            place.batch, place.size = batch, None
            numbered = (batch, index, number) if several else (batch, index)
            for call in calls.batch_start:
                call(*numbered)
            arguments = numbered[: max(self.arguments, 1)]
            with trainer.precision.context():
                output = self.step(*arguments)
            for call in calls.batch_end:
                call(output, *numbered)
            if self.collect:
                outputs.append(detached(output))
            if trainer.interrupted and self.stage != "validate":
                break
        place.batch = None
        source.close()
        return outputs

    def report(self) -> None:
        """Give the loggers the values of this evaluation."""
        values = self.logged.epoch_values("logger")
        if values and self.trainer.loggers and self.stage != "sanity_check":
            self.trainer.log_metrics(values, self.trainer.logger_step)

    def results(self) -> list[dict[str, Any]]:
        """The values of the evaluation as numbers, by loader."""
        found: list[dict[str, Any]] = [{} for _ in self.sources]
        for entry in self.logged.entries.values():
            value = as_number(entry.value())
            for number, one in enumerate(found):
                if entry.loader is None or entry.loader == number:
                    one[entry.full_name] = value
        return found
