"""All collective operations, against NumPy, on two and on three or four ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distributed.ranks import needs_mpi, run

pytestmark = needs_mpi

COMMON = """
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
NUMBERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
           torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128]
KINDS = [*NUMBERS, torch.bool]
def made(kind, rank, shape=(3, 4)):
    source = np.random.default_rng([rank, 7])
    array = source.integers(0, 2 if kind is torch.bool else 5, shape)
    return torch.tensor(array).to(kind)
def everyone(kind, shape=(3, 4)):
    return [made(kind, i, shape) for i in range(size)]
def same(have, want):
    assert have.dtype is want.dtype and have.shape == want.shape, (have, want)
    assert torch.equal(have, want), (have, want)
"""

REDUCE = """
from functools import reduce as fold
import operator
OPS = {"SUM": operator.add, "PRODUCT": operator.mul, "MIN": torch.minimum, "MAX": torch.maximum}
for kind in NUMBERS:
    for name, apply in OPS.items():
        if kind.is_complex and name in ("MIN", "MAX"):
            continue
        want = fold(apply, everyone(kind))
        x = made(kind, rank)
        assert dist.all_reduce(x, getattr(dist.ReduceOp, name)) is None
        same(x, want)
        x = made(kind, rank)
        dist.reduce(x, size - 1, getattr(dist.ReduceOp, name))
        if rank == size - 1:
            same(x, want)
for kind in (torch.uint8, torch.int64, torch.bool):
    for name, apply in (("BAND", operator.and_), ("BOR", operator.or_), ("BXOR", operator.xor)):
        x = made(kind, rank)
        dist.all_reduce(x, getattr(dist.ReduceOp, name))
        same(x, fold(apply, everyone(kind)))
flags = everyone(torch.bool)
for name, want in (("SUM", fold(operator.or_, flags)), ("MIN", fold(operator.and_, flags))):
    x = made(torch.bool, rank)
    dist.all_reduce(x, getattr(dist.ReduceOp, name))
    same(x, want)
x = made(torch.float32, rank)
dist.all_reduce(x, dist.ReduceOp.AVG)
assert torch.allclose(x, sum(everyone(torch.float32)) / size)

big = made(torch.float32, rank, (6, 4))            # every second column, transposed
part = big[:, ::2].t()
dist.all_reduce(part)
want = everyone(torch.float32, (6, 4))[rank].clone()
want[:, ::2] = sum(x[:, ::2] for x in everyone(torch.float32, (6, 4)))
same(big, want)
shared = np.full(3, float(rank))                    # memory that NumPy sees too
dist.all_reduce(torch.from_numpy(shared))
assert shared.tolist() == [sum(range(size))] * 3
leaf = torch.ones(2, requires_grad=True)            # in place, without a trace in the graph
dist.all_reduce(leaf)
assert leaf.is_leaf and leaf.tolist() == [size] * 2
nothing = torch.empty(0)
dist.all_reduce(nothing)

a, b = made(torch.float32, rank), made(torch.float32, rank, (5,))
work = dist.all_reduce_coalesced([a, b], async_op=True)
assert work.wait() and work.is_completed() and work.is_success()
same(a, sum(everyone(torch.float32)))
same(b, sum(everyone(torch.float32, (5,))))

for kind in (torch.float32, torch.bfloat16, torch.int64):
    inputs = [made(kind, 10 * rank + i) for i in range(size)]
    want = sum(made(kind, 10 * i + rank) for i in range(size))
    out = torch.empty(3, 4, dtype=kind)
    dist.reduce_scatter(out, inputs)
    same(out, want)
    out = torch.empty(3, 4, dtype=kind)
    dist.reduce_scatter_tensor(out, torch.cat(inputs))
    same(out, want)
for op, kind, words in ((dist.ReduceOp.BAND, torch.float32, "Cannot use ReduceOp.BAND"),
                        (dist.ReduceOp.MAX, torch.complex64, "does not support MAX on complex")):
    try:
        dist.all_reduce(torch.ones(2, dtype=kind), op)
    except RuntimeError as error:
        assert words in str(error)
    else:
        raise AssertionError(words)
"""

MOVE = """
for kind in KINDS:
    x = made(kind, rank)
    dist.broadcast(x, size - 1)
    same(x, made(kind, size - 1))
    parts = [torch.empty(3, 4, dtype=kind) for _ in range(size)]
    dist.all_gather(parts, made(kind, rank).t().contiguous().t())
    for have, want in zip(parts, everyone(kind)):
        same(have, want)
    whole = torch.empty(3 * size, 4, dtype=kind)
    dist.all_gather_into_tensor(whole, made(kind, rank))
    same(whole, torch.cat(everyone(kind)))
    parts = [torch.empty(3, 4, dtype=kind) for _ in range(size)] if rank == 1 else None
    dist.gather(made(kind, rank), parts, dst=1)
    for have, want in zip(parts or [], everyone(kind)):
        same(have, want)
    out = torch.empty(3, 4, dtype=kind)
    dist.scatter(out, everyone(kind) if rank == 1 else None, src=1)
    same(out, made(kind, rank))
    outs = [torch.empty(3, 4, dtype=kind) for _ in range(size)]
    dist.all_to_all(outs, [made(kind, 10 * rank + i) for i in range(size)])
    for i, have in enumerate(outs):
        same(have, made(kind, 10 * i + rank))

uneven = [torch.empty(i + 1) for i in range(size)]
dist.all_gather(uneven, torch.full((rank + 1,), float(rank)))
assert [x.tolist() for x in uneven] == [[float(i)] * (i + 1) for i in range(size)]
out = torch.empty(2 * size)
dist.all_to_all_single(out, torch.arange(2.0 * size) + 100 * rank)
assert out.tolist() == [100 * i + 2 * rank + j for i in range(size) for j in (0, 1)]
out = torch.empty(size * (rank + 1))
dist.all_to_all_single(out, torch.full((sum(range(size + 1)),), float(rank)),
                       [rank + 1] * size, [i + 1 for i in range(size)])
assert out.tolist() == [float(i) for i in range(size) for _ in range(rank + 1)]

# messages
other = rank ^ 1
if other < size:
    x = torch.full((2, 3), float(rank)).t()
    got = torch.empty(3, 2)
    if rank < other:
        dist.send(x, other)
        assert dist.recv(got) == other
    else:
        assert dist.recv(got, other) == other
        dist.send(x, other)
    assert got.eq(other).all()
    a, b = torch.empty(4), torch.empty(2, dtype=torch.bfloat16)
    works = [dist.irecv(b, other, tag=2), dist.irecv(a, other, tag=1)]
    works += [dist.isend(torch.full((4,), float(rank)), other, tag=1)]
    works += [dist.isend(torch.full((2,), 9.0, dtype=torch.bfloat16), other, tag=2)]
    for work in works:
        work.wait()
    assert a.tolist() == [other] * 4 and b.tolist() == [9.0] * 2
    got = torch.empty(300_000)
    ops = [dist.P2POp(dist.isend, torch.full((300_000,), float(rank)), other),
           dist.P2POp(dist.irecv, got, other)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    assert got.eq(other).all()

# objects
found = [None] * size
dist.all_gather_object(found, {"rank": rank, "text": "x" * rank})
assert found == [{"rank": i, "text": "x" * i} for i in range(size)]
found = [None] * size if rank == 0 else None
dist.gather_object(rank * 2, found)
assert rank or found == [2 * i for i in range(size)]
objects = ["a", {"b": 1}, torch.ones(2)] if rank == 1 else [None] * 3
dist.broadcast_object_list(objects, src=1)
assert objects[:2] == ["a", {"b": 1}] and objects[2].tolist() == [1, 1]
out = [None]
dist.scatter_object_list(out, [f"for {i}" for i in range(size)] if rank == 0 else None)
assert out == [f"for {rank}"]
if rank == 0:
    dist.send_object_list([1, "two"], 1)
elif rank == 1:
    got = [None, None]
    assert dist.recv_object_list(got, 0) == 0 and got == [1, "two"]
dist.barrier()
dist.monitored_barrier()
if rank == 0:
    dist.send(torch.ones(5), 1)
    dist.send(torch.ones(3), 1)
elif rank == 1:
    for size_there, words in ((3, "Message truncated"), (5, "a message of 12 bytes has come")):
        try:
            dist.recv(torch.ones(size_there), 0)
        except dist.DistBackendError as error:
            assert words in str(error), error
        else:
            raise AssertionError(words)
"""

GROUPS = """
import warnings
from datetime import timedelta
first = dist.new_group([0, 1])
odd = dist.new_group(range(1, size, 2), timeout=timedelta(seconds=20))
x = torch.tensor([float(rank)])
if rank in (0, 1):
    dist.all_reduce(x, group=first)
    assert x.item() == 1.0 and dist.get_rank(first) == rank
    assert dist.get_process_group_ranks(first) == [0, 1]
    dist.broadcast(x, src=1, group=first)
else:
    assert first == dist.GroupMember.NON_GROUP_MEMBER and dist.get_rank(first) == -1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dist.all_reduce(x, group=first)
    assert "does not belong to the given group" in str(caught[0].message)
if rank % 2:
    x = torch.tensor([rank])
    dist.broadcast(x, src=1, group=odd)
    assert x.item() == 1 and dist.get_group_rank(odd, rank) == rank // 2
    assert dist.get_global_rank(odd, 0) == 1
own, every = dist.new_subgroups(size // 2)
x = torch.ones(1)
dist.all_reduce(x, group=own)
assert x.item() == size // 2 and len(every) == 2
own, every = dist.new_subgroups_by_enumeration([[0, 2], [1, 3]])
x = torch.tensor([rank])
dist.all_reduce(x, group=own)
assert x.item() == (2 if rank % 2 == 0 else 4)
dist.destroy_process_group()
assert not dist.is_initialized()
dist.init_process_group("nccl", init_method="env://")
assert dist.get_backend() == "nccl"
works = [dist.all_reduce(torch.ones(1000) * i, async_op=True) for i in range(20)]
for i, work in enumerate(reversed(works)):
    assert work.get_future().wait()[0][0].item() == (19 - i) * size
try:
    dist.init_process_group()
except ValueError as error:
    assert "initialize the default process group twice" in str(error)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("ranks", [2, 3])
def test_against_numpy(ranks: int, tmp_path: Path) -> None:
    run(tmp_path, COMMON + REDUCE + MOVE, ranks)


def test_groups_and_handles(tmp_path: Path) -> None:
    run(tmp_path, COMMON + GROUPS, 4)
