"""A reader of pickled data that builds plain data only: it never imports and never calls.

Note: why not ``pickle``
    ``pickle.Unpickler`` runs what a file names. This reader knows the opcodes that data needs and
    a fixed list of names, each standing for a constructor of data written here; everything else
    is refused. Memo, depth and number of objects are bounded, and only what hashes without
    recursion may be a key.

Note: memory
    An opcode of one byte can make an object of some hundred. What the objects of a pickle take is
    estimated as they are made, and has to stay within a multiple of the pickle's own size, far
    above what objects take that somebody has saved.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

#: The largest number of opcodes, and so of objects, in one pickle.
MAX_OBJECTS = 20_000_000

#: The largest number of containers that lie open in each other.
MAX_DEPTH = 1000

#: The largest number of tuples within each other in a key.
_MAX_KEY_DEPTH = 50

#: The largest number of parts that tuples in a key have on one level.
_MAX_KEY_PARTS = 10_000

#: The bytes that the objects of any pickle may take, and those for each byte of a pickle.
MEMORY, MEMORY_PER_BYTE = 1 << 26, 128

#: About how many bytes Python needs for what an opcode makes.
_COSTS = {
    "EMPTY_LIST": 56, "LIST": 56, "EMPTY_DICT": 64, "DICT": 64, "EMPTY_SET": 216, "FROZENSET": 216,
    "MEMOIZE": 100, "BINPERSID": 200, "NEWOBJ": 600,
}  # fmt: skip
_COST_OF_TENSOR, _COST_OF_OBJECT = 2000, 600

_MARK = object()

#: What damaged data makes Python's own functions raise.
DAMAGE = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError,
    AssertionError, RecursionError, struct.error,
)  # fmt: skip


class LoadError(RuntimeError, pickle.UnpicklingError):
    """A file that cannot be loaded: damaged, of another kind, or asking for something unsafe."""


class Global:
    """A name a pickle refers to, with the constructor of data that stands for it.

    Args:
        name: the full name.
        build: makes the data; ``None`` where calling it is refused.
        found: the class or function itself, where the user has allowed it.
    """

    __slots__ = ("build", "found", "name")

    def __init__(self, name: str, build: Callable[..., Any] | None, found: Any = None) -> None:
        self.name = name
        self.build = build
        self.found = found


def refusal(name: str) -> LoadError:
    """The error for a name that is not on the list."""
    return LoadError(
        "Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL "
        f"{name} was not an allowed global by default. Please use "
        f"`torch.serialization.add_safe_globals([{name.rpartition('.')[2]}])` or the "
        "`torch.serialization.safe_globals` context manager to allowlist this global if you trust "
        "this class/function.\n"
        "The file holds more than tensors and plain containers: ask whoever made it for a "
        "state_dict. torch.load(path, weights_only=False) runs code from the file; only for files "
        "whose author you trust."
    )


def unsupported(what: str) -> LoadError:
    """The error for a file that asks for more than data."""
    return LoadError(
        f"Weights only load failed. WeightsUnpickler error: {what}\n"
        "The file asks for more than plain data, or it is damaged."
    )


def damaged(what: object) -> LoadError:
    """The error for a description that makes no sense."""
    return LoadError(f"the file's description of its contents is damaged: {what}")


class Reader:
    """Interprets one pickle.

    Args:
        find: gives the ``Global`` for a module and a name, or raises.
        load_persistent: gives the object for a persistent id (a storage).
        set_state: puts a state into an object made by a ``Global``.
    """

    def __init__(
        self,
        find: Callable[[str, str], Any],
        load_persistent: Callable[[Any], Any],
        set_state: Callable[[Any, Any], Any],
    ) -> None:
        self._find = find
        self._load_persistent = load_persistent
        self._set_state = set_state
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._count = 0
        self._marks = 0
        self._spent = 0
        self._names = 0  # how many have been read and not been called
        self._of_the_user: Exception | None = None

    def read(self, data: bytes) -> Any:
        """The object a pickle describes.

        Args:
            data: its bytes.
        """
        allowed = MEMORY + MEMORY_PER_BYTE * len(data)
        try:
            for opcode, argument, _ in pickletools.genops(data):
                self._count += 1
                if self._count > MAX_OBJECTS:
                    raise LoadError("the file holds more objects than can be loaded")
                if opcode.name == "STOP":
                    return self._last()
                self._spent += _COSTS.get(opcode.name, 0)
                if self._spent > allowed:
                    raise LoadError("the file asks for far more memory than its size explains")
                action = _ACTIONS.get(opcode.name)
                if action is None:
                    raise unsupported(f"Unsupported operand {ord(opcode.code)} ({opcode.name})")
                action(self, argument)
        except LoadError:
            raise
        except MemoryError as error:
            raise LoadError("the file asks for more memory than there is") from error
        except DAMAGE as error:
            if error is self._of_the_user:
                raise
            raise damaged(error) from error
        raise damaged("it ends too early")

    def _last(self) -> Any:
        found = self._pop()
        if self._stack:
            raise damaged("objects are left over")
        if self._names:
            _refuse_names(found)
        return found

    # the stack -----------------------------------------------------------------------------------

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise damaged("empty stack")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise damaged("empty stack")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if item is _MARK:
                self._marks -= 1
                items.reverse()
                return items
            items.append(item)
        raise damaged("no mark")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self, _: Any) -> None:
        self._marks += 1
        if self._marks > MAX_DEPTH:
            raise LoadError(f"the file nests containers deeper than {MAX_DEPTH} levels")
        self._stack.append(_MARK)

    # opcodes -------------------------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self._push(self._named(module, name))

    def _named(self, module: str, name: str) -> Any:
        found = self._find(module, name)
        self._names += isinstance(found, Global)
        return found

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise damaged("name of a global")
        self._push(self._named(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise unsupported(f"Trying to call reduce for unrecognized function {type(function)}")
        if function.build is None:
            raise refusal(function.name)
        self._names -= 1
        is_tensor = function.name.startswith(("torch._utils.", "torch._tensor."))
        self._spent += _COST_OF_TENSOR if is_tensor else _COST_OF_OBJECT
        self._push(function.build(*arguments))

    def _newobj(self, _: Any) -> None:
        arguments, cls = self._pop(), self._pop()
        if not isinstance(cls, Global) or not isinstance(arguments, tuple):
            raise unsupported("Can only create new object for classes allowlisted")
        self._names -= 1
        if isinstance(cls.found, type):
            self._push(cls.found.__new__(cls.found, *arguments))
            return
        if cls.build is None:
            raise refusal(cls.name)
        self._push(cls.build(*arguments))

    def _build(self, _: Any) -> None:
        state = self._pop()
        target = self._pop()
        self._push(self._set_state(target, state))

    def _append(self, _: Any) -> None:
        item = self._pop()
        self._list().append(item)

    def _appends(self, _: Any) -> None:
        items = self._pop_mark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        target = self._top()
        if type(target) is not list:
            raise unsupported(f"Can only append to lists, but got {type(target)}")
        return target

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._dict()[as_key(key)] = value

    def _setitems(self, _: Any) -> None:
        items = self._pop_mark()
        target = self._dict()
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key)] = value

    def _dict(self) -> dict[Any, Any]:
        target = self._top()
        if type(target) not in (dict, OrderedDict, defaultdict, Counter):
            raise unsupported(
                f"Can only SETITEM for dict, collections.OrderedDict, collections.Counter, "
                f"but got {type(target)}"
            )
        return target

    def _additems(self, _: Any) -> None:
        items = self._pop_mark()
        target = self._top()
        if type(target) is not set:
            raise unsupported(f"Can only add to sets, but got {type(target)}")
        target.update(map(as_key, items))

    def _frozenset(self, _: Any) -> None:
        self._push(frozenset(map(as_key, self._pop_mark())))

    def _new_dict(self, _: Any) -> None:
        items = self._pop_mark()
        self._push({as_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)})

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def _put(self, argument: int) -> None:
        self._memo[argument] = self._top()

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, argument: int) -> None:
        found = self._memo[argument]
        self._names += isinstance(found, Global)
        self._push(found)

    def _persistent(self, _: Any) -> None:
        identifier = self._pop()
        try:
            self._push(self._load_persistent(identifier))
        except Exception as error:  # what the user's map_location raises is no damage
            self._of_the_user = error
            raise


def as_key(key: Any) -> Any:
    """A key, if it can be hashed without going deep.

    Raises:
        LoadError: it cannot.
    """
    if key.__class__ is str or key.__class__ is int:
        return key
    level = [key]
    for _ in range(_MAX_KEY_DEPTH):
        nested = [item for item in level if isinstance(item, (tuple, frozenset))]
        level = [item for inner in nested for item in inner]
        if not level:
            return key
        if len(level) > _MAX_KEY_PARTS:
            break
    raise LoadError("the file uses a deeply nested tuple as a key")


def _refuse_names(found: Any) -> None:
    """Names that were to be called, and were not, are no data."""
    seen: set[int] = set()
    waiting = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Global):
            raise refusal(item.name)
        if isinstance(item, (list, tuple, dict, set, frozenset)) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item)
            if isinstance(item, dict):
                waiting.extend(item.values())


def names_in(data: bytes) -> Iterator[tuple[str, str]]:
    """The modules and names a pickle refers to, found without building anything.

    Args:
        data: the pickle.

    Raises:
        LoadError: it is damaged.
    """
    texts: list[str] = []
    memo: dict[int, str] = {}
    try:
        for opcode, found, _ in pickletools.genops(data):
            argument: Any = found
            if opcode.name == "GLOBAL":
                module, name = argument.split(" ", 1)
                yield module, name
            elif opcode.name == "STACK_GLOBAL":
                yield texts[-2], texts[-1]
            elif isinstance(argument, str):
                texts.append(argument)
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = texts[-1] if texts else ""
            elif opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[argument] = texts[-1] if texts else ""
            elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                texts.append(memo.get(argument, ""))
    except DAMAGE as error:
        raise damaged(error) from error


def _ignore(reader: Reader, argument: Any) -> None:
    """Frames and protocol numbers carry no data."""


def _drop(reader: Reader, _: Any) -> None:
    reader._pop()


_VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG",
    "BINFLOAT", "FLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BINSTRING", "SHORT_BINSTRING", "STRING", "BYTEARRAY8",
)  # fmt: skip

_ACTIONS: dict[str, Callable[[Reader, Any], None]] = {
    **dict.fromkeys(_VALUES, Reader._push),
    "PROTO": _ignore,
    "FRAME": _ignore,
    "NONE": lambda r, _: r._push(None),
    "NEWTRUE": lambda r, _: r._push(True),
    "NEWFALSE": lambda r, _: r._push(False),
    "EMPTY_LIST": lambda r, _: r._push([]),
    "EMPTY_DICT": lambda r, _: r._push({}),
    "EMPTY_SET": lambda r, _: r._push(set()),
    "EMPTY_TUPLE": lambda r, _: r._push(()),
    "MARK": Reader._mark,
    "TUPLE": lambda r, _: r._push(tuple(r._pop_mark())),
    "TUPLE1": lambda r, _: r._tuple(1),
    "TUPLE2": lambda r, _: r._tuple(2),
    "TUPLE3": lambda r, _: r._tuple(3),
    "LIST": lambda r, _: r._push(r._pop_mark()),
    "DICT": Reader._new_dict,
    "FROZENSET": Reader._frozenset,
    "GLOBAL": Reader._global,
    "STACK_GLOBAL": Reader._stack_global,
    "REDUCE": Reader._reduce,
    "NEWOBJ": Reader._newobj,
    "BUILD": Reader._build,
    "APPEND": Reader._append,
    "APPENDS": Reader._appends,
    "SETITEM": Reader._setitem,
    "SETITEMS": Reader._setitems,
    "ADDITEMS": Reader._additems,
    "BINPUT": Reader._put,
    "LONG_BINPUT": Reader._put,
    "PUT": Reader._put,
    "MEMOIZE": Reader._memoize,
    "BINGET": Reader._get,
    "LONG_BINGET": Reader._get,
    "GET": Reader._get,
    "BINPERSID": Reader._persistent,
    "POP": _drop,
    "POP_MARK": lambda r, _: _ignore(r, r._pop_mark()),
}
