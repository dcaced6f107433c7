"""Programs that come in many sizes: when they share their code, and that they compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.backends.cpu.llvm import jit, store
from rushlight.engine.compiler import choices
from rushlight.engine.core.config import config
from rushlight.engine.runtime import compiling


@pytest.fixture
def compiled_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Programs are compiled when they run for the second time; the texts that LLVM gets."""
    for name, value in (("begin", 1), ("use", 1), ("nodes", 1), ("patient", False)):
        monkeypatch.setattr(compiling.thresholds, name, value)
    monkeypatch.setattr(store, "shared", lambda: store.Store(None))
    texts: list[str] = []
    object_code = jit.object_code

    def counted(text: str) -> bytes:
        texts.append(text)
        return object_code(text)

    monkeypatch.setattr(jit, "object_code", counted)
    return texts


def row_scores(size: int) -> Any:
    x = torch.tensor(np.arange(size * 5, dtype=np.float32).reshape(size, 5) / 10)
    y = F.log_softmax(x.sin(), 1)
    return (y * x).mean(0) + y.sum() / size


def test_further_sizes_are_not_compiled_anew(compiled_texts: list[str]) -> None:
    sizes = range(20, 30)
    wanted = {size: row_scores(size).numpy() for size in sizes}
    made = []
    for size in sizes:
        before = len(compiled_texts)
        np.testing.assert_allclose(row_scores(size).numpy(), wanted[size], 1e-5, 1e-5)
        made.append(len(compiled_texts) - before)
    assert sum(made[: choices.OWN_SIZES]) == choices.OWN_SIZES
    assert not any(made[choices.OWN_SIZES + 2 :])


class Tagger(nn.Module):
    """Words to tags, one sentence at a time."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, width)
        self.layer = getattr(nn, kind)(width, width)
        self.head = nn.Linear(width, 5)

    def forward(self, words: Any) -> Any:
        found, _ = self.layer(self.embedding(words).view(len(words), 1, -1))
        return F.log_softmax(self.head(found.view(len(words), -1)), 1)


def trained(kind: str, width: int, lengths: list[int]) -> tuple[list[float], list[np.ndarray]]:
    torch.manual_seed(3)
    model = Tagger(kind, width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for length in lengths:
        words, tags = torch.randint(0, 30, (length,)), torch.randint(0, 5, (length,))
        model.zero_grad()
        loss = F.nll_loss(model(words), tags)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_sentences_of_any_length_train_as_interpreted(
    kind: str, compiled_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [9, 14, 1, 11, 9, 14, 11, 23, 12, 23, 12, 17, 1, 17, 30, 9, 30, 2, 2, 2, 12]
    losses, parameters = trained(kind, 24, lengths)
    assert compiled_texts
    monkeypatch.setattr(config, "compiler", False)
    monkeypatch.setattr(compiling.thresholds, "begin", 1 << 60)
    wanted, others = trained(kind, 24, lengths)
    assert losses == pytest.approx(wanted, rel=1e-5)
    for mine, other in zip(parameters, others, strict=True):
        np.testing.assert_allclose(mine, other, 1e-4, 1e-6)


def test_the_width_of_what_is_trained_makes_another_program() -> None:
    programs: list[Any] = []
    add = compiling.Shapes().add

    def noted(program: Any) -> None:
        programs.append(program)
        add(program)

    def collect(width: int, lengths: list[int]) -> list[Any]:
        programs.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("begin", 0), ("use", 1 << 60), ("nodes", 12), ("patient", False)):
                patch.setattr(compiling.thresholds, name, value)
            patch.setattr(compiling._shapes, "add", noted)
            trained("RNN", width, lengths)
        return [compiling._without_sizes(program) for program in programs]

    keys = collect(18, [31, 32, 33])
    assert len(keys) >= 2
    assert len(set(map(hash, keys[-2:]))) == 1
    assert collect(19, [31, 32, 33])[-1] not in keys


def test_compilations_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []

    def work(program: Any, varying: bool) -> Any:
        order.append(program)
        raise compiling.Uncompilable("only the order matters")

    monkeypatch.setattr(compiling, "compile_program", work)
    monkeypatch.setattr(compiling._shapes, "like", lambda program: 1)
    programs: list[Any] = [object() for _ in range(20)]
    begun = [compiling.Compilation(program) for program in programs]
    failures: list[Callable[[], Any]] = [one.result for one in begun]
    for result in failures:
        with pytest.raises(compiling.Uncompilable):
            result()
    assert [program for program in order if program in programs] == programs
