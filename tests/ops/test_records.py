"""Every public operator against PyTorch, against numbers and against itself; see ``checks``."""

from __future__ import annotations

import pytest

from tests.ops import checks, checks_forms, figures
from tests.ops.harness import faces, oracle, quiet

FACES = faces()
BY_NAME = {face.name: face for face in FACES}
FIGURES = figures.load()

needs_oracle = pytest.mark.skipif(
    oracle is None, reason="PyTorch (the extra `oracle`) is not installed"
)


def every(condition=lambda face: True):
    """Parametrise over the operators for which ``condition`` holds."""
    chosen = [face.name for face in FACES if condition(face)]
    return pytest.mark.parametrize("name", chosen)


def check(function, name: str) -> None:
    with quiet():
        function(BY_NAME[name])


@every()
def test_values(name: str) -> None:
    check(checks.check_values, name)


@needs_oracle
@every()
def test_gradients(name: str) -> None:
    check(checks.check_gradients, name)


@every()
def test_numeric_derivatives(name: str) -> None:
    check(checks.check_numeric, name)


@every()
def test_layouts(name: str) -> None:
    check(checks.check_layouts, name)


@needs_oracle
@every()
def test_other_shapes(name: str) -> None:
    check(checks.check_shapes, name)


@needs_oracle
@every(lambda face: face.record.inplace)
def test_inplace(name: str) -> None:
    check(checks_forms.check_inplace, name)


@every(lambda face: face.record.namespaces and not face.writes)
def test_out(name: str) -> None:
    check(checks_forms.check_out, name)


@every(lambda face: face.record.namespaces and face.record.method)
def test_method(name: str) -> None:
    check(checks_forms.check_method, name)


@every(lambda face: face.record.errors)
def test_errors(name: str) -> None:
    check(checks_forms.check_errors, name)


@every()
def test_figures(name: str) -> None:
    with quiet():
        figures.check_figures(BY_NAME[name], FIGURES)


def test_the_figures_are_not_old() -> None:
    wanted = [figures.key_of(f, s) for f in FACES for s in f.samples if s.oracle]
    missing = [key for key in wanted if key not in FIGURES]
    assert len(missing) < len(wanted) / 20, (
        f"{len(missing)} of {len(wanted)} samples have no figures; `python -m tests.ops.figures` "
        "records them where PyTorch is installed"
    )


@every()
def test_recorded(name: str) -> None:
    check(checks_forms.check_recorded, name)
