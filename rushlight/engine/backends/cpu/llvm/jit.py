"""LLVM through llvmlite: the processor's description, optimisation, object code, loading it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from rushlight.engine.backends.cpu.llvm import loader, store

#: Registers as wide as the processor's: LLVM would use half of them where clocks used to drop.
VECTOR_BITS: Final = 512

#: Changes whenever other machine code is made of the same text.
GENERATION: Final = 3

#: Lets LLVM take every second element for a loop of few turns, too, which has a masked vector at
#: its end; else it gathers. LeNet's pooling and its gradient take 14 µs then, not 29. Below it the
#: versions of LLVM that are known to have it.
_OPTION: Final = "-enable-masked-interleaved-mem-accesses"
_OPTION_VERSIONS: Final = range(11, 23)

#: Held while LLVM works, and over a fork, so that no child inherits locks of LLVM's that nobody
#: will ever open.
_lock = threading.RLock()
_libraries = count()


@dataclass(frozen=True, slots=True)
class Target:
    """The processor this process runs on.

    Attributes:
        name: LLVM's name of it.
        features: what it can and cannot do, as LLVM writes it.
        interleaves: whether vectors of every second element are loaded and stored as a whole.
        triple: LLVM's name of processor and system.
        version: LLVM's.
    """

    name: str
    features: str
    interleaves: bool
    triple: str
    version: str

    @property
    def attributes(self) -> str:
        """The attributes of functions for this processor."""
        width = VECTOR_BITS if "+avx512f" in self.features.split(",") else 0
        wide = f'"prefer-vector-width"="{width}" ' if width else ""
        return f'{wide}"target-cpu"="{self.name}" "target-features"="{self.features}"'


class Machine:
    """LLVM, loaded: 60 MB and a tenth of a second, for whoever has something to compile.

    Attributes:
        llvm: its Python module.
        target: the processor.
        machine: LLVM's description of that.
    """

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        interleaves = llvm.llvm_version_info[0] in _OPTION_VERSIONS
        if interleaves:
            llvm.set_option("rushlight", _OPTION)
        self.llvm = llvm
        name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        # "jit" and the small code model: a program's code and numbers lie close together.
        self.machine = target.create_target_machine(
            cpu=name, features=features, opt=2, reloc="pic", codemodel="small"
        )
        version = str(llvm.llvm_version_info)
        self.target = Target(name, features, interleaves, self.machine.triple, version)


@cache
def machine() -> Machine:
    """LLVM; it is loaded at the first call."""
    with _lock:
        return Machine()


def _processor() -> str:
    """What the system says of the first processor; empty where it says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # another system: LLVM is asked each time
        return ""
    changing = ("cpu MHz", "bogomips", "BogoMIPS")
    lines = text.split("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if not line.startswith(changing))


@cache
def target() -> Target:
    """The processor's description: what LLVM has said of it once, kept on disk, or says now."""
    import llvmlite

    processor, kept = _processor(), store.shared()
    name = store.key("target", str(GENERATION), llvmlite.__version__, processor)
    known = kept.get(name) if processor else None
    if known is not None:
        cpu, features, interleaves, triple, version = known.decode().split("\n")
        return Target(cpu, features, interleaves == "True", triple, version)
    found = machine().target
    if processor:
        kept.put(name, "\n".join(map(str, astuple(found))).encode())
    return found


def vector_width() -> int:
    """How many float32 numbers a register of this processor holds."""
    features = target().features.split(",")
    return 16 if "+avx512f" in features else 8 if "+avx2" in features else 4


def identity(text: str) -> str:
    """The name of a module's machine code in the cache on disk."""
    import llvmlite

    here = target()
    how = GENERATION, here.interleaves
    versions = f"{how} {llvmlite.__version__} {here.version}"
    return store.key(text, here.triple, here.name, here.features, versions)


def _optimised(text: str) -> Any:
    here = machine()
    llvm = here.llvm
    # A context of its own: what the common one has seen, it keeps for good.
    module = llvm.parse_assembly(text, context=llvm.create_context())
    module.triple = here.machine.triple
    module.data_layout = str(here.machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    options.slp_vectorization = True
    options.loop_interleaving = True
    # What is worth it, the code generator has written out; the rest takes a fifth of the time.
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(here.machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def optimised(text: str) -> str:
    """A module's text after optimisation, for whoever reads it."""
    with _lock:
        return str(_optimised(text))


def assembly(text: str) -> str:
    """A module's machine code, as assembly language."""
    with _lock:
        made: str = machine().machine.emit_assembly(_optimised(text))
        return made


def object_code(text: str) -> bytes:
    """A module's machine code, as an object file.

    Raises:
        RuntimeError: LLVM does not accept the text.
    """
    return _emitted(text)


def _emitted(text: str) -> bytes:
    with _lock:
        made: bytes = machine().machine.emit_object(_optimised(text))
        return made


def kept_code(text: str) -> bytes:
    """A module's machine code, from disk if it is there: for what every process needs."""
    name, kept = identity(text), store.shared()
    code = kept.get(name)
    if code is None:
        code = _emitted(text)
        kept.put(name, code)
    return code


@cache
def _linker() -> Any:
    here = machine()
    return here.llvm.create_lljit_compiler(here.machine, use_jit_link=sys.platform == "linux")


@cache
def _mathematics() -> ctypes.CDLL:
    # Asking where the library lies starts a compiler; where its name is known, that is not needed.
    if sys.platform == "linux":
        return ctypes.CDLL("libm.so.6")
    return ctypes.CDLL(ctypes.util.find_library("m"))


def symbol(name: str) -> int:
    """The address of a function of the C library's."""
    found = ctypes.cast(getattr(_mathematics(), name), ctypes.c_void_p).value
    assert found is not None
    return found


def symbols_of(names: Iterable[str]) -> Callable[[str], int]:
    """How object code that asks for these functions of mathematics finds what it calls."""
    known = set(names)

    def resolve(name: str) -> int:
        found = symbol(name) if name in known else loader.process_symbol(name)
        if not found:
            raise loader.Unsupported(f"{name!r} is not in this process")
        return found

    return resolve


class Loaded:
    """Object code in memory, for as long as this object lives.

    Args:
        code: the object file.
        entry: the function that is called from outside.
        symbols: functions of the C library that it calls.
        table: a global whose address is wanted too.

    Attributes:
        address: of the function.
        table: of the global, 0 without one.
    """

    __slots__ = ("_kept", "address", "table")

    address: int
    table: int

    def __init__(
        self, code: bytes, entry: str, symbols: Iterable[str], table: str | None = None
    ) -> None:
        try:
            image = loader.Image(code, symbols_of(symbols))
        except loader.Unsupported:
            self._link(code, entry, symbols, table)
            return
        self._kept = image
        self.address = image.find(entry)
        self.table = 0 if table is None else image.find(table)

    def _link(self, code: bytes, entry: str, symbols: Iterable[str], table: str | None) -> None:
        """Let LLVM do it."""
        builder = machine().llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in symbols:
            builder.import_symbol(name, symbol(name))
        builder.export_symbol(entry)
        if table is not None:
            builder.export_symbol(table)
        with _lock:
            tracker = self._kept = builder.link(_linker(), f"program{next(_libraries)}")
        self.address = tracker[entry]
        self.table = 0 if table is None else tracker[table]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
