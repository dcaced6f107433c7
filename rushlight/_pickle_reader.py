"""A reader of pickled data that builds plain data only: it never imports and never calls.

Note: why not ``pickle``
    ``pickle.Unpickler`` runs what a file names. This reader knows the opcodes that data needs and
    a fixed list of names, each standing for a constructor of data written here; everything else
    is refused. Memo, depth and number of objects are bounded.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

MAX_OBJECTS = 20_000_000

_MARK = object()


class LoadError(RuntimeError):
    """A file that cannot be loaded: damaged, of another kind, or asking for something unsafe."""


class Global:
    """A name a pickle refers to, with the constructor of data that stands for it."""

    __slots__ = ("build", "name")

    def __init__(self, name: str, build: Callable[..., Any] | None) -> None:
        self.name = name
        self.build = build


def refusal(name: str) -> LoadError:
    """The error for a name that is not on the list."""
    return LoadError(
        f"Weights only load failed. Unsupported global: GLOBAL {name} was not an allowed global by "
        "default.\nThe file holds more than tensors and plain containers. If you trust whoever "
        "made it, torch.load(path, weights_only=False) loads whole modules; otherwise ask for a "
        "state_dict."
    )


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

    def read(self, data: bytes) -> Any:
        """The object the pickle describes."""
        try:
            for opcode, argument, _ in pickletools.genops(data):
                self._count += 1
                if self._count > MAX_OBJECTS:
                    raise LoadError("the file holds more objects than can be loaded")
                if opcode.name == "STOP":
                    return self._pop()
                action = _ACTIONS.get(opcode.name)
                if action is None:
                    raise LoadError(
                        f"Weights only load failed. Unsupported operand {opcode.name}: the file "
                        "asks for more than plain data"
                    )
                action(self, argument)
        except LoadError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
            reason = f"the file's description of its contents is damaged: {error}"
            raise LoadError(reason) from error
        raise LoadError("the file's description of its contents ends too early")

    # the stack -----------------------------------------------------------------------------------

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise LoadError("the file's description of its contents is damaged: empty stack")
        return self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if item is _MARK:
                items.reverse()
                return items
            items.append(item)
        raise LoadError("the file's description of its contents is damaged: no mark")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    # opcodes -------------------------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self._push(self._find(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise LoadError("the file's description of its contents is damaged: name of a global")
        self._push(self._find(module, name))

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise LoadError("the file calls something that is not a constructor of data")
        if function.build is None:
            raise refusal(function.name)
        return function.build(*arguments)

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._push(self._call(function, arguments))

    def _newobj(self, _: Any) -> None:
        self._reduce(_)

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
        target = self._stack[-1]
        if type(target) is not list:
            raise LoadError(f"the file appends to a {type(target).__name__}")
        return target

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._dict()[key] = value

    def _setitems(self, _: Any) -> None:
        items = self._pop_mark()
        target = self._dict()
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def _dict(self) -> dict[Any, Any]:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, defaultdict):
            raise LoadError(f"the file sets items of a {type(target).__name__}")
        return target

    def _additems(self, _: Any) -> None:
        items = self._pop_mark()
        target = self._stack[-1]
        if type(target) is not set:
            raise LoadError(f"the file adds to a {type(target).__name__}")
        target.update(items)

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def _put(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, argument: int) -> None:
        self._push(self._memo[argument])

    def _persistent(self, _: Any) -> None:
        self._push(self._load_persistent(self._pop()))


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
    "MARK": lambda r, _: r._push(_MARK),
    "TUPLE": lambda r, _: r._push(tuple(r._pop_mark())),
    "TUPLE1": lambda r, _: r._tuple(1),
    "TUPLE2": lambda r, _: r._tuple(2),
    "TUPLE3": lambda r, _: r._tuple(3),
    "LIST": lambda r, _: r._push(r._pop_mark()),
    "FROZENSET": lambda r, _: r._push(frozenset(r._pop_mark())),
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
}
