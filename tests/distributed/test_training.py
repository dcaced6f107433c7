"""Training over ranks: the losses of one process, batch norm over all, DDP's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

import rushlight
from tests.distributed.ranks import needs_mpi, run

LOSSES = """
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
numbers = torch.Generator().manual_seed(1)
images = torch.randn(64, 1, 8, 8, generator=numbers)
labels = torch.randint(0, 5, (64,), generator=numbers)

def model(norm):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(6) if norm else nn.Identity()
    return nn.Sequential(nn.Conv2d(1, 6, 3), layer, nn.ReLU(), nn.Flatten(),
                         nn.Linear(216, 40), nn.ReLU(), nn.Linear(40, 5))

def optimizer(params, kind):
    if kind == "sgd":
        return torch.optim.SGD(params, lr=0.1, momentum=0.9)
    return torch.optim.Adam(params, lr=0.003)

def order(epoch, batch):
    # the global batch is what the ranks' batches are together
    shares = [DistributedSampler(images, size, r, seed=3) for r in range(size)]
    for share in shares:
        share.set_epoch(epoch)
    lists = [list(share) for share in shares]
    for start in range(0, len(lists[0]), batch):
        yield sum((one[start:start + batch] for one in lists), [])

for norm, kind, capacity in ((False, "sgd", 25), (False, "adam", 0.002), (True, "sgd", 25)):
    alone, batch = model(norm), 16 // size
    rule = optimizer(alone.parameters(), kind)
    want = []
    for epoch in range(3):
        for chosen in order(epoch, batch):
            rule.zero_grad()
            loss = F.cross_entropy(alone(images[chosen]), labels[chosen])
            loss.backward()
            rule.step()
            want.append(loss.item())

    together = model(norm)
    if norm:
        together = nn.SyncBatchNorm.convert_sync_batchnorm(together)
    if rank:  # overwritten by rank 0's
        with torch.no_grad():
            for param in together.parameters():
                param.fill_(0.3)
    together = DistributedDataParallel(together, bucket_cap_mb=capacity)
    assert (len(together.reducer.buckets) > 1) == (capacity < 1)
    rule = optimizer(together.parameters(), kind)
    data = TensorDataset(images, labels)
    share = DistributedSampler(data, seed=3)
    loader, have = DataLoader(data, batch_size=batch, sampler=share), []
    for epoch in range(3):
        share.set_epoch(epoch)
        for inputs, wanted in loader:
            rule.zero_grad()
            loss = F.cross_entropy(together(inputs), wanted)
            loss.backward()
            rule.step()
            total = loss.detach().clone()
            dist.all_reduce(total)
            have.append(total.item() / size)
    assert len(have) == len(want) == 12
    worst = max(abs(a - b) for a, b in zip(have, want))
    assert worst < 1e-5, (norm, kind, worst)
    if rank == 0:
        print(f"{norm} {kind}: {want[0]:.4f} to {want[-1]:.4f}, largest difference {worst:.1e}")
"""

NORM = """
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
numbers = torch.Generator().manual_seed(5)
for shape, options, kind in (((8, 3, 4, 5), {}, torch.float32),
                             ((8, 3), {"momentum": None}, torch.float64),
                             ((8, 3, 6), {"affine": False}, torch.float32),
                             ((8, 3, 2, 2, 2), {"track_running_stats": False}, torch.float32)):
    whole = torch.randn(shape, generator=numbers, dtype=kind) * 3 + 1
    weights = torch.randn(shape, generator=numbers, dtype=kind)
    made = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    plain = made[len(shape)](3, dtype=kind, **options)
    if plain.affine:
        with torch.no_grad():
            plain.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
            plain.bias.copy_(torch.tensor([1.0, 0.0, 3.0]))
    import copy
    sync = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    assert type(sync) is nn.SyncBatchNorm and type(plain) is not nn.SyncBatchNorm
    mine = slice(0, 3) if rank == 0 else slice(3, 8)     # batches of different sizes
    near = dict(rtol=1e-5, atol=1e-5)
    for _ in range(2):
        x, part = whole.clone().requires_grad_(), whole[mine].clone().requires_grad_()
        want, have = plain(x), sync(part)
        assert torch.allclose(have, want[mine], **near)
        (want * weights).sum().backward()
        (have * weights[mine]).sum().backward()
        assert torch.allclose(part.grad, x.grad[mine], **near)
    if plain.affine:
        for a, b in ((sync.weight, plain.weight), (sync.bias, plain.bias)):
            total = a.grad.clone()
            dist.all_reduce(total)
            assert torch.allclose(total, b.grad, rtol=1e-4, atol=1e-4), (total, b.grad)
    for name, buffer in plain.named_buffers():
        assert torch.allclose(getattr(sync, name).double(), buffer.double(), **near), name
    assert torch.allclose(sync.eval()(whole), plain.eval()(whole), **near)
"""

RULES = """
import copy, pickle, weakref
from torch.nn.parallel import DistributedDataParallel
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 1), nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(2))
    def forward(self, x, which="ab"):
        self.seen += x.detach().sum(0)
        return sum(getattr(self, name)(x) for name in which)

def made(**options):
    torch.manual_seed(rank)
    return DistributedDataParallel(Two(), **options)

def mean(x):
    x = x.detach().clone()
    dist.all_reduce(x)
    return x / size

x = torch.tensor([[1.0, 2.0]]) * (rank + 1)
average = torch.tensor([[1.5, 3.0]])
net = made()
assert set(net.state_dict()) == {"module." + name for name in net.module.state_dict()}
first = [param.clone() for param in net.parameters()]
for param in first:
    assert torch.equal(mean(param), param)               # rank 0's everywhere
net(x).sum().backward()
assert torch.allclose(net.module.a.weight.grad, average)
net(x).sum().backward()                                   # not zeroed: the means add up
assert torch.allclose(net.module.a.weight.grad, 2 * average)
net.zero_grad(set_to_none=False)
net(x).sum().backward()
assert torch.allclose(net.module.b.weight.grad, average)
net.zero_grad()
with net.no_sync():
    net(x).sum().backward()
assert torch.allclose(net.module.a.weight.grad, x)       # this rank's own
net(x).sum().backward()
assert torch.allclose(net.module.a.weight.grad, 2 * average)
kept = net.module.a.weight.grad
net.zero_grad()
net(x).sum().backward()
assert torch.allclose(kept, 2 * average)                 # not written over by the next message
with torch.no_grad():
    net(x)
given = net.module.seen - x.sum(0)                        # what the pass began with: rank 0's
assert torch.allclose(mean(given), given) and given.sum() > 0
out = net(x)
net.zero_grad()                                           # between forward and backward
(out.sum() * 2).backward()
assert torch.allclose(net.module.a.weight.grad, 2 * average)

net = made()
net(x, "a").sum().backward()
try:
    net(x, "a")
except RuntimeError as error:
    assert "Expected to have finished reduction in the prior iteration" in str(error)
    assert "did not receive grad for rank" in str(error) and "b.weight, b.bias" in str(error)
else:
    raise AssertionError("unused parameters were not noticed")

net = made(find_unused_parameters=True)
net(x, "a").sum().backward()
assert torch.allclose(net.module.a.weight.grad, average) and net.module.b.weight.grad is None
net.zero_grad()
net(x, "a" if rank == 0 else "ab").sum().backward()
assert torch.allclose(net.module.b.weight.grad, torch.tensor([[2.0, 4.0]]) * (size - 1) / size)

del kept
net(x).sum().backward()
net.zero_grad()
memory = weakref.ref(net.reducer.buckets[0].owner)
for _ in range(3):                                        # one message's memory serves the next
    net(x).sum().backward()
    net.zero_grad()
assert net.reducer.buckets[0].owner is memory()

twin = copy.deepcopy(net)                                 # as averaged models are made
out = net(x).sum() + twin(x).sum()
out.backward()
assert torch.allclose(twin.module.a.weight.grad, average) and twin.reducer is not net.reducer
again = pickle.loads(pickle.dumps(net))
assert torch.equal(again.module.b.weight, net.module.b.weight)

half = DistributedDataParallel(nn.Linear(2, 1).to(torch.bfloat16))
half(x.to(torch.bfloat16)).sum().backward()
assert half.module.weight.grad.dtype is torch.bfloat16
assert half.module.weight.grad.tolist() == average.tolist()

frozen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
frozen[0].requires_grad_(False)
frozen = DistributedDataParallel(frozen)
frozen(x).sum().backward()
assert frozen.module[0].weight.grad is None and frozen.module[1].bias.grad.item() == 1
try:
    DistributedDataParallel(nn.Linear(2, 1 + rank))
except RuntimeError as error:
    assert "[1]: params[0] in this process with sizes [2, 2] appears not to match" in str(error)
else:
    raise AssertionError("different models were not noticed")
for wrong, words in ((lambda: DistributedDataParallel(nn.ReLU()), "doesn't have any parameter"),
                     (lambda: made(device_ids=[0]), "device_ids and output_device")):
    try:
        wrong()
    except (RuntimeError, ValueError) as error:
        assert words in str(error)
    else:
        raise AssertionError(words)
"""


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_losses_are_those_of_one_process(ranks: int, tmp_path: Path) -> None:
    out = run(tmp_path, LOSSES, ranks)
    assert out.count("largest difference") == 3


@needs_mpi
def test_sync_batch_norm_is_batch_norm_of_the_whole_batch(tmp_path: Path) -> None:
    run(tmp_path, NORM, 2)


@needs_mpi
def test_the_rules_of_distributed_data_parallel(tmp_path: Path) -> None:
    run(tmp_path, RULES, 2)


def test_alone() -> None:
    layer = rushlight.nn.SyncBatchNorm(3)
    x = rushlight.randn(4, 3, 5)
    assert rushlight.equal(layer(x), rushlight.nn.BatchNorm1d(3)(x))
    with pytest.raises(ValueError, match="at least 2D input"):
        layer(rushlight.ones(2))
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        rushlight.nn.parallel.DistributedDataParallel(rushlight.nn.Linear(1, 1))
    wrapped = rushlight.nn.DataParallel(rushlight.nn.Linear(2, 1))
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    assert wrapped.device_ids == []
