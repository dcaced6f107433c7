"""The documents tell the truth: their code runs, their links lead somewhere, translations agree."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rushlight.engine.ir.op import Composite, Op
from tests.rules.source import PACKAGE, ROOT, shown

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) ", re.MULTILINE)

DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.md")})


def blocks(text: str, language: str | None = None) -> list[str]:
    """The code blocks of a document, of one language or all."""
    return [code for name, code in FENCE.findall(text) if language in (None, name)]


def figures(text: str) -> list[list[str]]:
    """The numbers in each row of the document's tables."""
    rows = [row for row in text.splitlines() if row.startswith("|")]
    return [re.findall(r"\d+(?:[.,]\d+)*", row) for row in rows]


def run(code: str, names: dict[str, object], title: str) -> None:
    """Run a block in ``names``; where it is written as a dialogue, its answers must come out."""
    if not code.startswith(">>>"):
        exec(compile(code, title, "exec"), names)
        return
    examples = doctest.DocTestParser().get_doctest(code, names, title, title, 0)
    problems: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        examples, out=problems.append, clear_globs=False
    )
    names.update(examples.globs)
    assert not problems, "".join(problems)


def commands(transcript: str) -> Iterator[tuple[str, str]]:
    """Each command of a shell session (``$`` begins it, ``>`` goes on) and what it printed."""
    for part in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        rest = 1
        while rest < len(lines) and re.match(r">( |$)", lines[rest]):
            rest += 1
        more = [line[2:] for line in lines[1:rest]]
        yield "\n".join([lines[0], *more]), "".join(f"{line}\n" for line in lines[rest:])


def run_in_shell(transcript: str, folder: Path, title: str) -> None:
    """Run a shell session in ``folder``; its answers must come out, on either stream."""
    tools = folder / "tools-of-the-document"
    tools.mkdir(exist_ok=True)
    for name, words in {"python": "", "rushlight": " -m rushlight"}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    for command, wanted in commands(transcript):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        same = doctest.OutputChecker().check_output(wanted, done.stdout, doctest.ELLIPSIS)
        assert same, f"{title}: {command}\nprinted\n{done.stdout}instead of\n{wanted}"


def broken_links(text: str, folder: Path) -> Iterator[str]:
    """Links to files of the project that do not exist."""
    for target in LINK.findall(FENCE.sub("", text)):
        file = target.partition("#")[0]
        if file and "://" not in target and not (folder / file).exists():
            yield target


@pytest.mark.parametrize("file", DOCUMENTS, ids=shown)
def test_code_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for record in (Op, Composite):  # what a document records as an example goes with it
        monkeypatch.setattr(record, "registry", dict(record.registry))
    names: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(file.read_text("utf-8"), "python"), 1):
        run(code, names, f"{shown(file)}, block {number}")
    for transcript in blocks(file.read_text("utf-8"), "console"):
        run_in_shell(transcript, tmp_path, shown(file))


@pytest.mark.parametrize("file", DOCUMENTS, ids=shown)
def test_links_lead_somewhere(file: Path) -> None:
    assert list(broken_links(file.read_text("utf-8"), file.parent)) == []


def test_the_readme_has_code() -> None:
    assert blocks((ROOT / "README.md").read_text("utf-8"), "python")


def test_translations_agree() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    assert blocks(english) == blocks(chinese)
    assert HEADING.findall(english) == HEADING.findall(chinese)
    assert figures(english) == figures(chinese)


def test_the_checks_notice(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run(">>> 1 + 1\n3\n", {}, "a wrong answer")
    with pytest.raises(ZeroDivisionError):
        run("1 / 0", {}, "an error")
    with pytest.raises(AssertionError, match="instead of"):
        run_in_shell("$ cat <<END\n> 3\n> END\n4\n", tmp_path, "a session")
    run_in_shell("$ echo 3 4\n3 ...\n$ python -c 'print(5)'\n5\n", tmp_path, "a session")
    assert list(broken_links("[a](missing.md) [b](https://a.b)", tmp_path)) == ["missing.md"]
    assert figures("| a | 1.5, 20 |\n| 2,000 |\n3") == [["1.5", "20"], ["2,000"]]
    assert blocks("```python\nx\n```\ntext\n```sh\ny\n```\n", "python") == ["x\n"]
