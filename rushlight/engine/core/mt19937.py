"""The random stream of PyTorch's CPU generator: MT19937, its state, and reservations in it.

The generator is the Mersenne Twister of Matsumoto and Nishimura (1998,
https://doi.org/10.1145/272991.272995), seeded with the low 32 bits of the seed. NumPy's
``RandomState`` runs the same recurrence in C, so it supplies the draws; this module keeps the
position, the bytes of PyTorch's state and the order in which the stream is handed out.
"""

from __future__ import annotations

import operator
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Draws32 = npt.NDArray[np.uint32]
Draws64 = npt.NDArray[np.uint64]
StateBytes = npt.NDArray[np.uint8]

#: The seed of a generator that nobody seeded.
DEFAULT_SEED: Final = 67280421310721

_WORDS: Final = 624
_FULL_RANGE: Final = 2**32

#: The bytes of ``torch.get_rng_state()``, field by field.
_STATE: Final = np.dtype(
    {
        "names": [
            "seed", "left", "seeded", "next", "key", "normal_x", "double_normal", "normal_rho",
            "has_double_normal", "float_normal", "has_float_normal",
        ],
        "formats": [
            "<u8", "<i4", "<i4", "<u8", ("<u8", (_WORDS,)), "<f8", "<f8", "<f8", "<i4", "<f4", "u1",
        ],
        "offsets": [0, 8, 12, 16, 24, 5016, 5024, 5032, 5040, 5048, 5052],
        "itemsize": 5056,
    }
)  # fmt: skip

STATE_SIZE: Final = _STATE.itemsize

#: Draws up to which NumPy's raw call costs less than its array call; up to which generated code is
#: not worth asking for two addresses.
_FEW_DRAWS: Final = 256
_FEW_NATIVE: Final = 64

#: Reservations that may stand unread before their places in the stream are fixed one by one.
_MANY_PENDING: Final = 1024


class Source(Protocol):
    """What the samplers draw from: an ``Engine``, or a ``Reservation`` made earlier."""

    def draw32(self, count: int) -> Draws32:
        """The next ``count`` 32-bit draws."""

    def draw64(self, count: int) -> Draws64:
        """The next ``count`` 64-bit draws, each made of two 32-bit ones."""


class _Position(NamedTuple):
    """A place in the stream: the words of the twister, and how many of them are used."""

    key: Draws32
    used: int | np.uint32


def _join(raw: Draws32) -> Draws64:
    """Pairs of 32-bit draws as 64-bit ones, the first of a pair in the high half."""
    joined = raw[0::2].astype(np.uint64)
    joined <<= np.uint64(32)
    joined |= raw[1::2]
    return joined


def _split(wide: Draws64) -> Draws32:
    """The 32-bit draws that 64-bit ones are made of."""
    raw = np.empty(2 * wide.size, np.uint32)
    raw[0::2], raw[1::2] = wide >> np.uint64(32), wide & np.uint64(_FULL_RANGE - 1)
    return raw


class _Native:
    """``fill(address of NumPy's state, array)`` in generated code, once a backend has made it, and
    ``words(address, count)``: the memory there as an array."""

    fill: Callable[[int, Draws32], None] | None = None
    words: Callable[[int, int], Draws32]


native = _Native()


def _draw(bits: np.random.MT19937, random: np.random.RandomState, count: int) -> Draws32:
    if count <= _FEW_DRAWS:
        raw: Draws64 = bits.random_raw(count)
        return raw.astype(np.uint32)
    return random.randint(0, _FULL_RANGE, size=count, dtype=np.uint32)


def normalize_seed(seed: int) -> int:
    """``seed`` as the unsigned 64-bit number that PyTorch stores.

    Args:
        seed: any integer from ``-2**63`` to ``2**64 - 1``; negative ones count from ``2**64`` down.

    Raises:
        ValueError: if the seed does not fit into 64 bits.

    >>> normalize_seed(-1) == 2**64 - 1
    True
    """
    value = operator.index(seed)
    if not -(2**63) <= value < 2**64:
        raise ValueError(
            "Overflow when unpacking long long\n"
            f"the seed {value} needs more than 64 bits; take a number from -2**63 to 2**64 - 1"
        )
    return value % 2**64


class Reservation:
    """A stretch of the stream that was set aside when an operation was recorded.

    The engine goes on behind the stretch at once, so it does not matter when, in which order or
    whether the draws are read. Reading twice gives the same draws; they are kept in memory from
    the first reading until ``release`` or until nobody holds the reservation any more.

    >>> engine, same = Engine(0), Engine(0)
    >>> kept = engine.reserve(2)
    >>> later = engine.draw32(1)
    >>> kept.draw32(2).tolist() == same.draw32(2).tolist(), later == same.draw32(1)
    (True, array([ True]))
    """

    __slots__ = ("__weakref__", "_draws", "_engine", "_released", "_start", "_wide", "count")

    def __init__(self, engine: Engine, count: int) -> None:
        self.count = count
        self._engine = engine
        self._released = False
        self._start: _Position | None = None
        self._draws: Draws32 | None = None
        self._wide: Draws64 | None = None

    def __repr__(self) -> str:
        return f"Reservation({self.count})"

    def draw32(self, count: int) -> Draws32:
        """The first ``count`` 32-bit draws of the stretch, read-only.

        Raises:
            ValueError: if the stretch is shorter, or was released.
        """
        if count > self.count:
            raise ValueError(
                f"expected at most {self.count} draws, got {count}; reserve as many as the "
                "sampler takes"
            )
        draws = self._draws
        if draws is None:
            if self._wide is None:
                draws = self._engine._realise(self)
            else:
                draws = self._freeze(_split(self._wide))
        return draws[:count]

    def draw64(self, count: int) -> Draws64:
        """The first ``2 * count`` draws as ``count`` 64-bit ones, a new array."""
        if self._wide is None and self._draws is None and 2 * count == self.count:
            self._wide = self._engine._realise_wide(self)
        return _join(self.draw32(2 * count)) if self._wide is None else self._wide[:count].copy()

    def draw_into(self, out: Draws32) -> None:
        """Write the first draws of the stretch into ``out``, shape ``(count,)``, uint32.

        Nothing is kept: read again, they are made again. That saves the memory and a copy.
        """
        if out.size == self.count and self._engine._draw_into(self, out):
            return
        out[...] = self.draw32(out.size)

    def release(self) -> None:
        """Forget the draws, which frees their memory; they cannot be read any more."""
        with self._engine.lock:
            self._released = True
            self._start = None
            self._draws = self._wide = None

    def _freeze(self, draws: Draws32) -> Draws32:
        draws.flags.writeable = False
        self._draws = draws
        self._start = None
        return draws


class Engine:
    """PyTorch's CPU generator: the same draws from the same seed, and the same state bytes.

    Safe to use from several threads: every public method is one step of the stream. Callers that
    need several steps in a row hold ``lock``.

    Args:
        seed: an integer of at most 64 bits, as in ``torch.manual_seed``.

    >>> engine = Engine(0)
    >>> engine.draw32(2)
    array([2357136044, 2546248239], dtype=uint32)
    >>> engine.initial_seed()
    0
    """

    __slots__ = (
        "_address", "_bits", "_drawn", "_generator", "_pending", "_random", "_seed", "_stale",
        "_words", "double_normal", "float_normal", "lock",
    )  # fmt: skip

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.lock = threading.RLock()
        #: The second value of the last Box-Muller pair, for the next normal draw.
        self.double_normal: float | None = None
        self.float_normal: float | None = None
        self._bits: np.random.MT19937 | None = None
        self._address = 0  # of the state of `_bits`, once generated code has asked for it
        self._words: Draws32 | None = None  # the same: the words of the twister, and the place
        self._random: np.random.RandomState | None = None
        self._generator: np.random.Generator | None = None
        self._stale = True  # the twister still has to be filled from the seed
        self._drawn = False  # PyTorch's state bytes tell a fresh seed from a used-up block
        self._pending: deque[tuple[int, weakref.ref[Reservation]]] = deque()
        self._seed = normalize_seed(seed)

    def __repr__(self) -> str:
        return f"Engine(seed={self._seed})"

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return engine_from_state, (self.get_state().tobytes(),)

    # -- seeds ------------------------------------------------------------------------------

    def manual_seed(self, seed: int) -> None:
        """Start the stream of ``seed`` and drop cached normal values.

        Raises:
            ValueError: if the seed does not fit into 64 bits.
        """
        value = normalize_seed(seed)
        with self.lock:
            self._settle()
            self._seed = value
            self._stale = True
            self._drawn = False
            self.double_normal = None
            self.float_normal = None

    def seed(self) -> int:
        """Start a stream from the operating system's entropy; returns the new seed."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed that started the present stream, as an unsigned 64-bit number."""
        return self._seed

    # -- draws ------------------------------------------------------------------------------

    def draw32(self, count: int) -> Draws32:
        """The next ``count`` 32-bit draws, a new array of shape ``(count,)``."""
        with self.lock:
            self._settle()
            return self._raw(count)

    def draw64(self, count: int) -> Draws64:
        """The next ``count`` 64-bit draws; each takes two 32-bit ones, the high half first."""
        return _join(self.draw32(2 * count))

    def draw_double(self) -> float:
        """One double from [0, 1) with 53 random bits, the scalar form of ``draw64``."""
        with self.lock:
            self._settle()
            bits, _ = self._ready()
            self._drawn = True
            high, low = bits.random_raw(), bits.random_raw()
        return ((high & 0x1FFFFF) << 32 | low) * 2.0**-53

    def skip(self, count: int) -> None:
        """Go on by ``count`` 32-bit draws without making them."""
        with self.lock:
            self._settle()
            self._pass_over(count)

    def reserve(self, count: int) -> Reservation:
        """Set the next ``count`` 32-bit draws aside, to be read later or never.

        Nothing is generated here: the draws are made when they are read, and passed over when
        the reservation is gone by the time the stream goes on.
        """
        reservation = Reservation(self, count)
        with self.lock:
            self._pending.append((count, weakref.ref(reservation)))
            if len(self._pending) > _MANY_PENDING:
                self._settle()
        return reservation

    # -- state ------------------------------------------------------------------------------

    def get_state(self) -> StateBytes:
        """The state as PyTorch's 5056 bytes, a uint8 array of shape ``(5056,)``."""
        record = np.zeros((), _STATE)
        with self.lock:
            self._settle()
            position = self._position()
            used = position.used if self._drawn else 0
            record["seed"] = self._seed
            record["left"] = _WORDS + 1 - position.used
            record["seeded"] = 1
            record["next"] = used
            record["key"] = position.key
            if self.double_normal is not None:
                record["double_normal"], record["has_double_normal"] = self.double_normal, 1
            if self.float_normal is not None:
                record["float_normal"], record["has_float_normal"] = self.float_normal, 1
        return np.frombuffer(record.tobytes(), np.uint8).copy()

    def set_state(self, state: npt.ArrayLike) -> None:
        """Go to the place that ``get_state``, here or in PyTorch, wrote down.

        Args:
            state: 5056 values of dtype uint8.

        Raises:
            TypeError: if the values are not uint8.
            RuntimeError: if the size is not 5056, or the bytes are no state.
        """
        array = np.asarray(state)
        if array.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if array.size != STATE_SIZE:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_SIZE} but found the input RNG "
                f"state size to be {array.size}"
            )
        record = np.frombuffer(array.tobytes(), _STATE)[0]
        left, used = int(record["left"]), int(record["next"])
        fresh = (left, used) == (1, 0)
        # PyTorch keeps two counters that say the same; bytes where they disagree are damaged.
        if not record["seeded"] or not (
            fresh or (0 < used <= _WORDS and left == _WORDS + 1 - used)
        ):
            raise RuntimeError("Invalid mt19937 state")
        with self.lock:
            self._settle()
            self._go_to(_Position(record["key"].astype(np.uint32), _WORDS if fresh else used))
            self._seed = int(record["seed"])
            self._drawn = not fresh
            has_double, has_float = record["has_double_normal"], record["has_float_normal"]
            self.double_normal = float(record["double_normal"]) if has_double else None
            self.float_normal = float(record["float_normal"]) if has_float else None

    def clone(self) -> Engine:
        """An engine of its own at the same place, cached normal values included."""
        other = Engine(self._seed)
        with self.lock:
            self._settle()
            if not self._stale:
                other._go_to(self._position())
            other._seed = self._seed
            other._drawn = self._drawn
            other.double_normal = self.double_normal
            other.float_normal = self.float_normal
        return other

    # -- within the lock --------------------------------------------------------------------

    def _ready(self) -> tuple[np.random.MT19937, np.random.RandomState]:
        """NumPy's twister at the present place, filled from the seed where that was put off."""
        bits, random = self._bits, self._random
        if bits is None or random is None:
            # Reached through the package, numpy.random (20 ms) loads with the first draw only.
            bits = self._bits = np.random.MT19937(0)
            random = self._random = np.random.RandomState(bits)
        if self._stale:
            random.seed(self._seed & 0xFFFFFFFF)
            self._stale = False
        return bits, random

    def _raw(self, count: int) -> Draws32:
        if count == 0:
            return np.empty(0, np.uint32)
        bits, random = self._ready()
        self._drawn = True
        if native.fill is not None and count > _FEW_NATIVE:
            made = np.empty(count, np.uint32)
            native.fill(self._address or self._look_up(bits), made)
            return made
        return _draw(bits, random, count)

    def _raw_wide(self, count: int) -> Draws64:
        """As ``_raw``, in pairs."""
        if native.fill is not None or count <= _FEW_DRAWS:
            return _join(self._raw(2 * count))
        bits, _ = self._ready()
        self._drawn = True
        if self._generator is None:
            self._generator = np.random.Generator(bits)
        return self._generator.integers(0, 2**64, count, np.uint64)

    def _look_up(self, bits: np.random.MT19937) -> int:
        """Where NumPy keeps the state of the twister: the words, and how many of them are used."""
        self._address = address = bits.ctypes.state_address
        self._words = native.words(address, _WORDS + 1)
        return address

    def _draw_into(self, reservation: Reservation, out: Draws32) -> bool:
        """Write the draws of a reservation that is next in the stream; whether it is."""
        if native.fill is None or not out.flags.c_contiguous:
            return False
        with self.lock:
            pending = self._pending
            if not pending or pending[0][1]() is not reservation or reservation._released:
                return False
            bits, _ = self._ready()
            self._drawn = True
            address = self._address or self._look_up(bits)
            assert self._words is not None
            before = self._words.copy()
            native.fill(address, out)
            pending.popleft()
            reservation._start = _Position(before[:_WORDS], before[_WORDS])
        return True

    def _pass_over(self, count: int) -> None:
        if count > 0:
            bits, _ = self._ready()
            self._drawn = True
            bits.random_raw(count, output=False)

    def _position(self) -> _Position:
        bits, _ = self._ready()
        state = bits.state["state"]
        return _Position(state["key"], int(state["pos"]))

    def _go_to(self, position: _Position) -> None:
        self._stale = False
        bits, _ = self._ready()
        bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": position.key, "pos": int(position.used)},
        }

    def _settle(self, upto: Reservation | None = None) -> None:
        """Walk over the reservations made so far (before ``upto``), noting where each begins."""
        while self._pending:
            count, reference = self._pending[0]
            reservation = reference()
            if reservation is not None and reservation is upto:
                return
            self._pending.popleft()
            if reservation is not None and not reservation._released:
                reservation._start = self._position()
            self._pass_over(count)

    def _realise(self, reservation: Reservation) -> Draws32:
        with self.lock:
            found = reservation._draws
            if found is None:
                found = reservation._freeze(self._source(reservation)._raw(reservation.count))
            return found

    def _realise_wide(self, reservation: Reservation) -> Draws64:
        with self.lock:
            return self._source(reservation)._raw_wide(reservation.count // 2)

    def _source(self, reservation: Reservation) -> Engine:
        """An engine whose next draws are those of a reservation."""
        if reservation._released:
            raise ValueError("the reservation was released; its draws are gone")
        if reservation._start is None:
            self._settle(upto=reservation)
            if self._pending:  # else Ctrl-C came while it was drawn the first time
                self._pending.popleft()
            return self
        elsewhere = Engine()
        elsewhere._go_to(reservation._start)
        return elsewhere


def engine_from_state(state: bytes) -> Engine:
    """An engine at the place that the 5056 bytes of ``Engine.get_state`` describe."""
    engine = Engine()
    engine.set_state(np.frombuffer(state, np.uint8))
    return engine
