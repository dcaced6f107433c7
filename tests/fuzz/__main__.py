"""The long run: ``python -m tests.fuzz --programs 20000 --seed 0 --workers 2``.

Every program is run in all modes that can be had. A program that fails is made small and written
as a script; so is one that ends its process or never ends.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from tests.fuzz.compare import available, check
from tests.fuzz.programs import Script

MODES = "recorded,compiled,oracle"
#: Seconds after which a program is taken to hang.
PATIENCE = 120


class Worker:
    """A process that examines every ``step``-th program from ``start`` on."""

    def __init__(self, options: argparse.Namespace, start: int, stop: int, step: int) -> None:
        self.options, self.stop, self.step = options, stop, step
        self.current, self.since = start, time.monotonic()
        self.begin(start)

    def begin(self, start: int) -> None:
        """Start a process at a seed."""
        # no program comes twice, so there is nothing to keep on disk
        environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"RUSHLIGHT_CACHE": "0"}
        command = [sys.executable, "-m", "tests.fuzz.worker", str(start), str(self.stop)]
        command += [str(self.step), str(self.options.attempts), self.options.modes]
        with open(self.options.out / "workers.log", "ab") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        self.since = time.monotonic()

    @property
    def output(self) -> IO[bytes]:
        """What it tells."""
        assert self.process.stdout is not None
        return self.process.stdout

    def hangs(self) -> bool:
        """Whether nothing has been heard of it for too long."""
        return time.monotonic() - self.since > PATIENCE


class Run:
    """All workers, what they have found, and how far they are."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.counts: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []
        self.selector = selectors.DefaultSelector()
        stop = options.seed + options.programs
        for number in range(options.workers):
            worker = Worker(options, options.seed + number, stop, options.workers)
            self.selector.register(worker.output, selectors.EVENT_READ, worker)
        self.bar = tqdm(total=options.programs, unit=" programs", disable=options.quiet)

    def all(self) -> None:
        """Go on until no worker is left."""
        while self.selector.get_map():
            for key, _ in self.selector.select(timeout=1.0):
                self.hear(key.data)
            for key in list(self.selector.get_map().values()):
                if key.data.hangs():
                    key.data.process.kill()
                    self.fell(key.data, "hangs")
        self.bar.close()

    def end(self) -> None:
        """End all workers."""
        for key in list(self.selector.get_map().values()):
            key.data.process.kill()
            key.data.process.wait()

    def hear(self, worker: Worker) -> None:
        """One line of a worker, or its end."""
        line = worker.output.readline()
        worker.since = time.monotonic()
        if not line:
            self.fell(worker, "ends its process")
            return
        words = json.loads(line)
        if words.get("done"):
            self.selector.unregister(worker.output)
            worker.process.wait()
        elif words.get("begins"):
            worker.current = words["seed"]
        else:
            self.bar.update()
            self.counts.update(words["compared"])
            self.counts["compiled runs"] += words["compiled_runs"]
            if words["failure"]:
                self.note({"seed": words["seed"], **words["failure"]})

    def fell(self, worker: Worker, how: str) -> None:
        """A worker is gone: note the program it was at, and go on behind it."""
        self.selector.unregister(worker.output)
        code = worker.process.wait()
        self.note({
            "seed": worker.current, "kind": how, "modes": ["?", "eager"], "lines": -1,
            "message": f"the process ended with {code}", "script": "",
        })  # fmt: skip
        self.bar.update()
        start = worker.current + worker.step
        if start < worker.stop:
            worker.begin(start)
            self.selector.register(worker.output, selectors.EVENT_READ, worker)

    def note(self, failure: dict[str, Any]) -> None:
        """Keep a failure and write its script."""
        self.failures.append(failure)
        self.bar.set_postfix(failures=len(self.failures))
        if failure["script"]:
            path = self.options.out / f"program_{failure['seed']}.py"
            words = f"# {failure['modes'][0]} against {failure['modes'][1]}: {failure['kind']}\n"
            words += "".join(f"# {line}\n" for line in failure["message"].split("\n")[:40])
            path.write_text(words + failure["script"], "utf-8")

    def summary(self) -> str:
        """What was compared and what failed."""
        lines = [f"{self.counts['eager']} programs from seed {self.options.seed} on"]
        for name in ("recorded", "compiled", "oracle"):
            if name in self.options.modes:
                lines.append(f"  {name}: {self.counts[name]} compared with eager")
        lines.append(f"  {self.counts['compiled runs']} runs of compiled programs")
        lines.append(f"  {len(self.failures)} failures")
        for failure in sorted(self.failures, key=lambda f: f["lines"]):
            first = failure["message"].split("\n")[0]
            lines.append(
                f"    seed {failure['seed']}: {failure['modes'][0]}, {failure['kind']}, "
                f"{failure['lines']} lines: {first[:140]}"
            )
        return "\n".join(lines)


def again(path: Path, modes: list[str]) -> bool:
    """Whether a written program still fails."""
    failure, _ = check(Script(path.read_text("utf-8")), available(modes))
    if failure is None:
        print(f"{path}: all modes agree")
        return False
    print(f"{path}: {failure.modes[0]} against {failure.modes[1]}: {failure.message}")
    return True


def main() -> int:
    """Run the programs that the command line asks for; how many failed."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=2000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--modes", default=MODES, help=f"what is compared with eager: {MODES}")
    parser.add_argument("--attempts", type=int, default=300, help="to make a failure small")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="for the scripts")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--script", type=Path, nargs="+", help="written programs to run instead")
    options = parser.parse_args()
    if options.script:
        return sum(again(path, options.modes.split(",")) for path in options.script)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    try:
        run.all()
    except KeyboardInterrupt:
        run.bar.close()
        run.end()
    print(run.summary())
    return len(run.failures)


if __name__ == "__main__":
    sys.exit(min(main(), 100))
