"""The text of a program's module: its kernels, each once, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rushlight.engine.backends.cpu.llvm import context
from rushlight.engine.backends.cpu.llvm.kernel import (
    KernelWriter,
    arguments_of,
    parallel_loop,
)
from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.writer import Writer
from rushlight.engine.ir.loops import For, Kernel

#: Turns of a parallel loop that stay together: two threads rarely write to one cache line.
GRAIN: Final = 64

#: Parts of a loop for each thread. They are handed out one by one: a thread that has slept wakes
#: 20 µs later than the others, which meanwhile do what an equal share would leave to it.
PARTS: Final = 8


class Module:
    """A program's functions as text.

    Attributes:
        shared: declarations and helper functions.
        context: what the code finds at run time.
    """

    def __init__(self, shared: Shared, table: context.Context) -> None:
        self.shared = shared
        self.context = table
        self._functions: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._kernels: dict[tuple[int, bool], str] = {}
        self._keep: list[Kernel] = []

    def kernel(self, kernel: Kernel, threads: int) -> tuple[str, bool]:
        """Add a kernel if it is not there.

        Returns:
            The name of its function, and whether that takes the context and the number of threads
            before the kernel's own arguments.
        """
        loop = parallel_loop(kernel) if threads > 1 else None
        key = id(kernel), loop is not None
        name = self._kernels.get(key)
        if name is None:
            self._keep.append(kernel)
            name = self._kernels[key] = (
                self._plain(kernel) if loop is None else self._team(kernel, loop)
            )
        return name, loop is not None

    def function(self, arguments: str, body: str, result: str = "void") -> str:
        """Add a function, or find one with the same text; its name."""
        key = f"{result} {arguments}", body
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = f"f{len(self._names)}"
            self._functions.append(
                f"define internal {result} @{name}({arguments}) #0 {body}"
            )
        return name

    def _plain(self, kernel: Kernel) -> str:
        body = KernelWriter(kernel, self.shared).whole()
        return self.function(body.arguments, body.text)

    def _team(self, kernel: Kernel, loop: For) -> str:
        part = KernelWriter(kernel, self.shared).part(loop)
        name = self.function(part.arguments, part.text)
        kinds = arguments_of(kernel)
        member = self.function("ptr %data", self._member(name, kinds))
        share = self._share(member, name, kinds)
        around = KernelWriter(kernel, self.shared).around(loop, share)
        return self.function(around.arguments, around.text)

    def _member(self, part: str, kinds: Sequence[str]) -> str:
        """What each thread of a team runs: parts of the loop, as long as there are any."""
        writer = Writer("")
        write = writer.value
        size = load_entry(writer, "%data", 1, "i64")
        grain = load_entry(writer, "%data", 2, "i64")
        counter = write("getelementptr inbounds i64, ptr %data, i64 3")
        passed = [
            f"{kind} {load_entry(writer, '%data', place + 4, kind)}"
            for place, kind in enumerate(kinds)
        ]
        least = self.shared.declare("llvm.smin.i64", "i64", "i64", "i64")
        writer.line("br label %ask")
        writer.begin("ask")
        begin = write(f"atomicrmw add ptr {counter}, i64 {grain} monotonic")
        writer.line(f"br i1 {write(f'icmp slt i64 {begin}, {size}')}, label %some, label %none")
        writer.begin("some")
        stop = write(f"add i64 {begin}, {grain}")
        end = write(f"call i64 {least}(i64 {stop}, i64 {size})")
        writer.line(f"call void @{part}({', '.join([f'i64 {begin}', f'i64 {end}', *passed])})")
        writer.line("br label %ask")
        writer.begin("none")
        writer.line("ret void")
        return writer.body()

    def _share(self, member: str, part: str, kinds: Sequence[str]) -> str:
        """Opens a team, or runs all turns if only one thread is to be used."""
        writer = Writer("")
        write = writer.value
        pairs = [f"{kind} %a{place}" for place, kind in enumerate(kinds)]
        data = writer.variable("i64", 4 + len(kinds))
        limit = load_entry(writer, "%context", self.context.need(context.THREAD_LIMIT), "i32")
        least = self.shared.declare("llvm.smin.i32", "i32", "i32", "i32")
        count = write(f"call i32 {least}(i32 {limit}, i32 %threads)")
        writer.line(f"br i1 {write(f'icmp sle i32 {count}, 1')}, label %alone, label %team")
        writer.begin("alone")
        writer.line(f"call void @{part}({', '.join(['i64 0', 'i64 %turns', *pairs])})")
        writer.line("ret void")
        writer.begin("team")
        parts = write(f"mul i64 {write(f'sext i32 {count} to i64')}, {PARTS}")
        raised = write(f"add i64 %turns, {write(f'sub i64 {parts}, 1')}")
        fair = write(f"udiv i64 {raised}, {parts}")
        whole = write(f"and i64 {write(f'add i64 {fair}, {GRAIN - 1}')}, {-GRAIN}")
        many = write(f"icmp sge i64 %turns, {4 * GRAIN}")
        grain = write(f"select i1 {many}, i64 {whole}, i64 {fair}")
        values = ["ptr %context", "i64 %turns", f"i64 {grain}", "i64 0", *pairs]
        for place, pair in enumerate(values):
            spot = write(f"getelementptr inbounds i64, ptr {data}, i64 {place}")
            writer.line(f"store {pair}, ptr {spot}")
        run = load_entry(writer, "%context", self.context.need(context.PARALLEL), "ptr")
        writer.line(f"call void {run}(ptr @{member}, ptr {data}, i32 {count}, i32 0)")
        writer.line("ret void")
        arguments = ["ptr %context", "i32 %threads", "i64 %turns", *pairs]
        return self.function(", ".join(arguments), writer.body())

    def text(self, main: str, attributes: str) -> str:
        """The module.

        Args:
            main: the function that is called from outside.
            attributes: of all other functions, such as the processor they are for.
        """
        functions = "\n\n".join([*self._functions, main])
        group = (
            f"attributes #0 = {{ noinline nounwind {attributes} }}\n"
            f"attributes #1 = {{ alwaysinline nounwind willreturn {attributes} }}"
        )
        return "\n\n".join([functions, self.shared.text(), group, ""])


def load_entry(writer: Writer, table: str, entry: int, kind: str) -> str:
    """Read an entry of a table of 8-byte numbers."""
    spot = writer.value(f"getelementptr inbounds i64, ptr {table}, i64 {entry}")
    return writer.value(f"load {kind}, ptr {spot}")
