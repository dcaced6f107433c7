"""Shared memory for batches: a fixed number of blocks that are used again and again.

Note: no name, nothing left behind
    A block is an anonymous file in memory that worker processes inherit. It has no name in
    ``/dev/shm``, so that folder's size does not bound it, and the system takes the memory back when
    the last process that uses it has ended, however it ended. Memory is reserved before it is
    written to: too little of it is an error that can be told, not a bus error.
"""

from __future__ import annotations

import errno
import mmap
import multiprocessing.reduction
import os
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

#: Bytes by which a block grows at least.
_GRAIN = 1 << 16


def _anonymous_file() -> int:
    """A file without a name, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rushlight-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Block:
    """Shared memory that grows; one process at a time writes to it.

    >>> from rushlight.utils.data._utils.blocks import Block
    >>> block = Block()
    >>> block.memory(5)[:5] = b"hello"
    >>> bytes(block.memory(5)[:5])
    b'hello'
    >>> block.close()
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _anonymous_file() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def memory(self, size: int) -> mmap.mmap:
        """The block mapped into this process, ``size`` bytes long at least.

        Raises:
            RuntimeError: the system has not that much memory to share.
        """
        if self._map is None or len(self._map) < size:
            length = os.fstat(self.descriptor).st_size
            if length < size:
                length = -(-(size + size // 8) // _GRAIN) * _GRAIN
                self._grow(length)
            self._map = mmap.mmap(self.descriptor, length)
        return self._map

    def _grow(self, length: int) -> None:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.descriptor, 0, length)
            else:
                os.ftruncate(self.descriptor, length)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
                raise
            raise RuntimeError(
                f"unable to allocate {length} bytes of shared memory for a batch: "
                f"{os.strerror(error.errno)}. Use smaller batches, fewer workers or a smaller "
                "prefetch_factor."
            ) from error

    def close(self, in_use: bool = False) -> None:
        """Give the memory back, to the system at once unless a batch still lies in it."""
        if self.descriptor >= 0:
            if not in_use:
                os.ftruncate(self.descriptor, 0)
            os.close(self.descriptor)
        self.descriptor, self._map = -1, None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if getattr(self, "descriptor", -1) >= 0:  # its owner could not be made as a whole
            close(self.descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (multiprocessing.reduction.DupFd(self.descriptor),)


def _inherited(duplicate: Any) -> Block:
    """The block in a process that was not forked from its owner."""
    return Block(duplicate.detach())


class _Lease(np.ndarray):
    """A batch's memory: as long as anything uses it, its block is not written to again.

    Its own type keeps NumPy from replacing it as the base of views by what lies behind it.
    """


class Ring:
    """The blocks of one iterator, seen from the process that hands out the batches.

    A batch is used where it lies as long as few batches are kept; a small one, or one more than
    ``LEASES``, is copied, so that a batch stays valid however long it is kept while the shared
    memory stays bounded.

    Args:
        count: how many blocks may be under way to or from the workers at one time.
    """

    #: Batches used where they lie: the one at work, the next, and what a backward pass still holds.
    LEASES = 4

    #: Bytes up to which copying costs less than keeping account.
    SMALL = 1 << 16

    def __init__(self, count: int) -> None:
        self.blocks = [Block() for _ in range(count + self.LEASES)]
        self._free = list(range(len(self.blocks)))
        self._leases: dict[int, weakref.ref[_Lease]] = {}
        self._lost: set[int] = set()
        self._closed = False
        _rings.add(self)

    def take(self) -> int:
        """The number of a block nobody uses."""
        return self._free.pop()

    def give(self, number: int) -> None:
        """Let a block be used again."""
        self._free.append(number)

    def read(self, number: int, size: int) -> np.ndarray:
        """The first bytes of a block, valid for as long as somebody holds them; takes the block."""
        memory = self.blocks[number].memory(size)
        if size <= self.SMALL or len(self._leases) + len(self._lost) >= self.LEASES:
            copied = np.frombuffer(memory, np.uint8, size).copy()
            self.give(number)
            return copied
        lease = _Lease((size,), np.uint8, buffer=memory)
        self._leases[number] = weakref.ref(lease, lambda _: self._ended(number))
        return lease

    def _ended(self, number: int) -> None:
        self._leases.pop(number, None)
        if number not in self._lost:
            self._free.append(number)

    def forked(self) -> None:
        """Never write again to what a child process may look at from now on."""
        self._lost.update(list(self._leases))

    def close(self) -> None:
        """Give back everything but the batches somebody still holds."""
        if not self._closed:
            self._closed = True
            for number, block in enumerate(self.blocks):
                block.close(in_use=number in self._leases or number in self._lost)


_rings: weakref.WeakSet[Ring] = weakref.WeakSet()


def _after_fork() -> None:
    for ring in list(_rings):
        ring.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_after_fork)
