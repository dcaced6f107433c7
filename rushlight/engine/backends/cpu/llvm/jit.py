"""LLVM through llvmlite: the processor's description, optimisation, object code, loading it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Any, Final

from rushlight.engine.backends.cpu.llvm import store

#: Registers as wide as the processor's: LLVM would use half of them where clocks used to drop.
VECTOR_BITS: Final = 512

#: Changes whenever other machine code is made of the same text.
GENERATION: Final = 2

#: Held while LLVM works, and over a fork, so that no child inherits locks of LLVM's that nobody
#: will ever open.
_lock = threading.RLock()
_libraries = count()


class Target:
    """The processor this process runs on.

    Attributes:
        name: LLVM's name of it.
        features: what it can and cannot do, as LLVM writes it.
    """

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.llvm = llvm
        self.name = llvm.get_host_cpu_name()
        self.features = llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        # "jit" and the small code model: a program's code and numbers lie close together.
        self.machine = target.create_target_machine(
            cpu=self.name, features=self.features, opt=2, reloc="pic", codemodel="small"
        )

    @property
    def attributes(self) -> str:
        """The attributes of functions for this processor."""
        width = VECTOR_BITS if "+avx512f" in self.features.split(",") else 0
        wide = f'"prefer-vector-width"="{width}" ' if width else ""
        return f'{wide}"target-cpu"="{self.name}" "target-features"="{self.features}"'


@cache
def target() -> Target:
    """The processor's description; loads LLVM at the first call."""
    with _lock:
        return Target()


def identity(text: str) -> str:
    """The name of a module's machine code in the cache on disk."""
    import llvmlite

    here = target()
    versions = f"{GENERATION} {llvmlite.__version__} {here.llvm.llvm_version_info}"
    return store.key(text, here.machine.triple, here.name, here.features, versions)


def _optimised(text: str) -> Any:
    here = target()
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
        made: str = target().machine.emit_assembly(_optimised(text))
        return made


def object_code(text: str) -> bytes:
    """A module's machine code, as an object file.

    Raises:
        RuntimeError: LLVM does not accept the text.
    """
    with _lock:
        made: bytes = target().machine.emit_object(_optimised(text))
        return made


@cache
def _linker() -> Any:
    here = target()
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


class Loaded:
    """Object code in memory, for as long as this object lives.

    Args:
        code: the object file.
        entry: the function that is called from outside.
        symbols: functions of the C library that it calls.
    """

    __slots__ = ("_tracker", "address")

    def __init__(self, code: bytes, entry: str, symbols: Iterable[str]) -> None:
        here = target()
        builder = here.llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in symbols:
            builder.import_symbol(name, symbol(name))
        builder.export_symbol(entry)
        with _lock:
            self._tracker = builder.link(_linker(), f"program{next(_libraries)}")
        self.address: int = self._tracker[entry]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
