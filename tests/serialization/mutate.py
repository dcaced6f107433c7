"""Files changed at random: each is loaded correctly, or refused clearly.

``python -m tests.serialization.mutate --files 10000`` changes that many. Each number is one change,
drawn from it alone: ``--first 123 --files 1`` makes number 123 again.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as torch
from rushlight.serialization import LoadError

#: Files that PyTorch 2.13 has written.
WRITTEN = Path(__file__).parent / "data"

#: How much a worker's memory may grow, in bytes: the files have a few KB.
MEMORY = 1 << 29

#: Seconds that no file may take.
SLOW = 5.0

_PER_WORKER = 500


class Violation(Exception):
    """What must not happen when a file is loaded."""


# the files that are changed ----------------------------------------------------------------------


def contents() -> list[Any]:
    """Objects as programs save them."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    net(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    base = torch.arange(24.0)
    names = "uint8 int16 int64 float16 bfloat16 float32 float64 complex64 bool uint16 float8_e5m2"
    types = [torch.arange(6).to(getattr(torch, name)) for name in names.split()]
    plain = OrderedDict(a=(1, -2.5, None, True), b=["text", b"bytes", {1, 2}], c={"d": 1 + 2j})
    checkpoint = {
        "model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.25,
    }  # fmt: skip
    return [
        net.state_dict(),
        checkpoint,
        [base, base.view(4, 6).t(), base[3:9], base[:1].expand(5), torch.nn.Parameter(base[:2])],
        types,
        [plain, torch.Size([1, 2]), torch.float16, torch.device("cpu"), np.float64(1), np.ones(3)],
    ]


def originals() -> list[bytes]:
    """Each object in the zip format, some in the old one, and what PyTorch has written."""
    files = [(WRITTEN / f"pytorch_{name}.pt").read_bytes() for name in ("checkpoint", "before_1_6")]
    for number, obj in enumerate(contents()):
        for new in (True, False) if number in (0, 2) else (True,):
            file = io.BytesIO()
            torch.save(obj, file, _use_new_zipfile_serialization=new)
            files.append(file.getvalue())
    return files


def signature(obj: Any) -> Any:
    """What a loaded object is, down to the last bit, looking at every element of every tensor."""
    if isinstance(obj, torch.Tensor):
        if obj.numel() > 1 << 20:  # repeats its few numbers, and would not fit
            return "repeated", tuple(obj.shape), obj.stride(), obj.dtype
        data = obj.detach().contiguous().view(-1).view(torch.uint8).tolist()
        return "tensor", tuple(obj.shape), obj.stride(), str(obj.dtype), obj.requires_grad, data
    if isinstance(obj, dict):
        return type(obj).__name__, [(signature(k), signature(v)) for k, v in obj.items()]
    if isinstance(obj, (list, tuple)):
        return type(obj).__name__, [signature(item) for item in obj]
    if isinstance(obj, (set, frozenset)):
        return type(obj).__name__, sorted(repr(item) for item in obj)
    if isinstance(obj, np.ndarray):
        return "array", obj.dtype.str, obj.shape, obj.tobytes()
    if isinstance(obj, _PLAIN):
        return type(obj).__name__, repr(obj)
    raise Violation(f"a file gave a {type(obj)}")


_PLAIN = (
    str, bytes, bytearray, int, float, complex, bool, type(None), torch.dtype, torch.device,
    np.generic, torch.layout,
)  # fmt: skip


# the changes -------------------------------------------------------------------------------------


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _overwrite(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    size = draw.randrange(1, 64)
    filler = draw.choice((bytes(size), b"\xff" * size, draw.randbytes(size)))
    return data[:start] + filler + data[start + size :]


def _move(data: bytes, draw: random.Random) -> bytes:
    start, to = draw.randrange(len(data)), draw.randrange(len(data))
    part = data[start : start + draw.randrange(1, 200)]
    kept = data if draw.random() < 0.5 else data.replace(part, b"", 1)
    return kept[:to] + part + kept[to:]


def _directory(data: bytes, draw: random.Random) -> bytes:
    """Another number in the zip directory: a size, an offset, a checksum, a flag."""
    changed = bytearray(data)
    places = [i for i in range(len(data) - 46) if data[i : i + 4] in (b"PK\1\2", b"PK\3\4")]
    places += [data.rfind(b"PK\5\6")]
    at = draw.choice(places) + draw.choice((6, 8, 10, 14, 16, 18, 20, 22, 24, 26, 28, 42))
    number = draw.choice((0, 1, 64, 1 << 31, 0xFFFFFFFF, draw.randrange(1 << 32)))
    changed[at : at + 4] = struct.pack("<I", number)
    return bytes(changed)


RAW = (_flip, _flip, _truncate, _overwrite, _move, _directory)


def _entries(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _packed(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that are there twice
        for name, body in entries:
            archive.writestr(zipfile.ZipInfo(name), body, compression)
    return file.getvalue()


def _swap_entries(data: bytes, draw: random.Random) -> bytes:
    entries = _entries(data)
    a, b = draw.randrange(len(entries)), draw.randrange(len(entries))
    (name_a, body_a), (name_b, body_b) = entries[a], entries[b]
    entries[a], entries[b] = (name_a, body_b), (name_b, body_a)
    return _packed(entries)


def _change_entries(data: bytes, draw: random.Random) -> bytes:
    """An entry twice, missing, longer, shorter, elsewhere, or squeezed."""
    entries = _entries(data)
    at = draw.randrange(len(entries))
    name, body = entries[at]
    what = draw.randrange(6)
    if what == 0:
        entries.append((name, draw.choice(entries)[1]))
    elif what == 1:
        del entries[at]
    elif what == 2:
        entries[at] = name, body + bytes(draw.randrange(1, 20))
    elif what == 3:
        entries[at] = name, body[: len(body) // 2]
    elif what == 4:
        entries[at] = draw.choice(("../" + name, "/" + name, name + "/x", "other/data.pkl")), body
    else:
        entries[at] = name, bytes(1 << 22)
        return _packed(entries, zipfile.ZIP_DEFLATED)
    return _packed(entries)


#: What a file with bad intentions would put into its pickle.
HOSTILE = (
    b"cos\nsystem\nX\x06\x00\x00\x00exit 1\x85R",
    b"cbuiltins\neval\nX\x03\x00\x00\x001/0\x85R",
    b"c__builtin__\n__import__\nX\x02\x00\x00\x00os\x85R",
    b"\x8c\x05posix\x8c\x06system\x93\x8c\x06exit 1\x85R",
    b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
    b"cbuiltins\nset\nJ\xff\xff\xff\x7f\x85R",
    b"ctorch\nSize\nJ\xff\xff\xff\x7f\x85R",
    b"c_codecs\nencode\nX\x02\x00\x00\x00abX\x05\x00\x00\x00idna0\x86R",
    b"ccollections\ndefaultdict\ncos\nsystem\n\x85R",
    b"crushlight._serialization_trusted\nread_trusted\n(R",
    b"csubprocess\nPopen\n(R",
    b"}(cbuiltins\nint\nNu",
    b"(" * 2000,
    b")\x85" + b"\x85" * 3000 + b"}\x00",
    b"\x8a\xff" + b"\xff" * 255,
    b"X\xff\xff\xff\xffa",
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa",
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85X\x01\x00\x00\x00b\x87R",
    b"r\xff\xff\xff\xff",
    b"0" * 30,
    b"b",
    b"R",
    b"\x81",
    b"Q",
)

_NUMBERS = (0, 1, 2, 7, 255, 65535, (1 << 31) - 1, -1, -(1 << 31))


def _change_pickle(body: bytes, draw: random.Random) -> bytes:
    what = draw.randrange(5)
    if what == 0:
        return _flip(body, draw)
    if what == 1:
        return _overwrite(body, draw)
    at = draw.randrange(2, len(body))
    if what == 2:
        return body[:at] + draw.choice(HOSTILE) + body[at:]
    if what == 3:
        return body[:at] + draw.choice(HOSTILE) + b"."
    return _change_number(body, draw)


def _change_number(body: bytes, draw: random.Random) -> bytes:
    """Another number somewhere: a size, a stride, an offset, a count of elements."""
    places = [i for i in range(2, len(body) - 4) if body[i : i + 1] in b"KMJ"]
    if not places:
        return _flip(body, draw)
    at = draw.choice(places)
    width = {b"K": 2, b"M": 3, b"J": 5}[body[at : at + 1]]
    huge = b"\x8a\x08" + struct.pack("<q", draw.choice((1 << 40, 1 << 62, -(1 << 62))))
    small = b"J" + struct.pack("<i", draw.choice(_NUMBERS))
    return body[:at] + draw.choice((huge, small, small)) + body[at + width :]


def _rewrite_pickle(data: bytes, draw: random.Random) -> bytes:
    """A changed description in an archive whose checksums are right."""
    entries = [
        (name, _change_pickle(body, draw) if name.endswith("data.pkl") else body)
        for name, body in _entries(data)
    ]
    return _packed(entries)


WELL_PACKED = (_swap_entries, _change_entries, _rewrite_pickle, _rewrite_pickle, _rewrite_pickle)


# judging -----------------------------------------------------------------------------------------


class _Watch:
    """Sees what Python does while a file is loaded: nothing but reading is in order."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.thread = threading.get_ident()  # others may compile what the tests have computed
        for encoding in ("cp437", "raw_unicode_escape", "latin-1", "ascii"):
            "names in files".encode(encoding)  # Python loads the encoding now, not later
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event.startswith(_ACTIONS) and threading.get_ident() == self.thread:
            self.seen.append(f"{event} {arguments[:2]!r}")


_ACTIONS = (
    "exec", "import", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.find_class",
    "code.__new__", "open",
)  # fmt: skip

_watch: list[_Watch] = []


def mutated(number: int, files: list[bytes]) -> tuple[bytes, bytes, Callable[..., bytes]]:
    """The original and the changed file of a number, and how it was changed."""
    draw = random.Random(number)
    original = draw.choice(files)
    zipped = original.startswith(b"PK")
    changes = RAW + WELL_PACKED if zipped else RAW[:5]
    change = draw.choice(changes)
    return original, change(original, draw), change


def judge(number: int, files: list[bytes], expected: dict[bytes, Any]) -> str:
    """Load the file of a number.

    Returns:
        ``'same'`` where the changed file gives what the original gives, ``'other'`` where it
        gives other plain data, ``'refused'`` where it gives a clear error.

    Raises:
        Violation: anything else has happened.
    """
    if not _watch:
        _watch.append(_Watch())
    watch = _watch[0]
    original, data, change = mutated(number, files)
    watch.seen.clear()
    watch.on = True
    start = time.perf_counter()
    try:
        found = torch.load(io.BytesIO(data))
        result = "loaded"
    except (LoadError, EOFError, RuntimeError) as error:
        result = "refused"
        if "more memory than there is" in str(error) or len(str(error)) < 15:
            raise Violation(f"{number}: {change.__name__}: {error!r}") from error
    except BaseException as error:
        raise Violation(f"{number}: {change.__name__}: {error!r}") from error
    finally:
        watch.on = False
    if watch.seen:
        raise Violation(f"{number}: {change.__name__}: the file made Python do {watch.seen[:3]}")
    if time.perf_counter() - start > SLOW:
        raise Violation(f"{number}: {change.__name__}: loading took longer than {SLOW} s")
    if result == "refused":
        return result
    same = signature(found) == expected[original]
    if not same and change in RAW and original.startswith(b"PK"):
        raise Violation(f"{number}: {change.__name__}: damage went unnoticed")
    return "same" if same else "other"


def run(first: int, count: int) -> Counter[str]:
    """Judge files one after the other in this process."""
    files = originals()
    expected = {data: signature(torch.load(io.BytesIO(data))) for data in files}
    return Counter(judge(number, files, expected) for number in range(first, first + count))


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def _work(first: int, count: int) -> None:
    """What a worker does: its memory is limited once everything has been loaded once."""
    run(first, 1)
    _limit_memory()
    for kind, number in run(first, count).items():
        print(kind, number)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--worker", action="store_true")
    arguments = parser.parse_args()
    if arguments.worker:
        _work(arguments.first, arguments.files)
        return 0
    total: Counter[str] = Counter()
    failures = []
    end = arguments.first + arguments.files
    for first in range(arguments.first, end, _PER_WORKER):
        count = min(_PER_WORKER, end - first)
        command = [sys.executable, "-m", "tests.serialization.mutate", "--worker"]
        command += ["--first", str(first), "--files", str(count)]
        done = subprocess.run(command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            kind, number = line.split()
            total[kind] += int(number)
        if done.returncode:
            why = "\n".join(done.stderr.splitlines()[-3:])
            failures.append(f"{first} to {first + count - 1}: exit {done.returncode}\n{why}")
    print(f"{sum(total.values())} files: {dict(total)}")
    print("\n".join(failures) or "no violation")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(_main())
