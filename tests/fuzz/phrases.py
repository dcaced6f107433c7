"""Phrases about elements: arithmetic, reductions, views, writes, numbers read on the way."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.fuzz.generator import Generator, overlapping, phrase

REDUCTIONS = (
    "sum", "sum", "sum", "mean", "mean", "amax", "amin", "prod", "var", "std", "logsumexp", "norm",
    "any", "all", "argmax", "argmin", "cumsum", "count_nonzero", "nansum", "nanmean", "softmax",
    "log_softmax", "cumprod", "max", "min", "median", "sort", "topk",
)  # fmt: skip
BINARY = ("+", "-", "*", "/", "<", ">=", "==", "!=", "**", "//", "%", "&", "|")


def axis(random: Random, x: Any) -> int:
    """An axis of ``x``."""
    return random.randrange(-x.ndim, x.ndim) if x.ndim else 0


def index(random: Random, x: Any) -> str:
    """A basic index as it stands between brackets."""
    items = []
    for size in tuple(x.shape)[: random.randrange(0, x.ndim + 1)]:
        kind = random.random()
        if kind < 0.3 and size:
            items.append(str(random.randrange(-size, size)))
        elif kind < 0.4:
            items.append("None")
        else:
            start, stop = random.choice(["", "0", "1", "-2"]), random.choice(["", "", "2", "-1"])
            items.append(f"{start}:{stop}{random.choice(['', '', ':2'])}")
    if not items or random.random() < 0.2:
        items.append("...")
    return ", ".join(items)


@phrase(6)
def operators(g: Generator) -> None:
    """Arithmetic of two tensors, or of a tensor and a number."""
    x = g.pick()
    if x is None:
        return
    sign = g.random.choice(BINARY)
    if sign == "**":
        g.assign(f"{{0}} ** {g.random.choice(['2', '3', '2.0', '0.5', '-1.0'])}", x)
    elif sign in ("/", "//", "%") and g.random.random() < 0.7:
        g.assign(f"{{0}} {sign} {g.random.choice(['2', '3', '1.5', '-2'])}", x)
    elif g.random.random() < 0.4:
        text = (
            f"{{0}} {sign} {g.number()}"
            if g.random.random() < 0.7
            else f"{g.number()} {sign} {{0}}"
        )
        g.assign(text, x)
    else:
        y = g.pick()
        if y is not None:
            g.assign(f"{{0}} {sign} {{1}}", x, y)


@phrase(2)
def branch(g: Generator) -> None:
    """A result that another operation gives in some steps."""
    x = g.floating()
    if x is not None:
        one, two = g.random.sample(
            ["{0}.exp().clamp(max=5)", "{0}.cos()", "-{0}", "{0} * 2", "{0}.relu()",
            "{0} + 0.5 * step",
             "{0}.tanh()", "{0}.clone()", "{0}.detach()", "{0}"], 2,
        )  # fmt: skip
        g.assign(f"{one} if step % 3 == 2 else {two}", x)


@phrase(5)
def reduction(g: Generator) -> None:
    """A reduction, over all axes or some, of any type that takes it."""
    x = g.pick()
    if x is None:
        return
    tensor = g.env[x]
    name = g.random.choice(REDUCTIONS)
    dim = axis(g.random, tensor)
    keepdim = g.random.choice(["", "", ", keepdim=True"])
    if name in ("softmax", "log_softmax", "cumsum", "cumprod"):
        g.assign(f"{{0}}.{name}({dim})", x)
    elif name in ("max", "min", "median") and g.random.random() < 0.6:
        g.assign(f"{{0}}.{name}({dim}{keepdim})[{g.random.randrange(2)}]", x)
    elif name in ("sort", "topk"):
        g.assign(f"{{0}}.{name}({'1, ' if name == 'topk' else ''}{dim})[0]", x)
    elif (
        name in ("sum", "mean", "amax", "amin", "var", "std", "logsumexp")
        and tensor.ndim > 1
        and (g.random.random() < 0.4)
    ):
        dims = tuple(
            sorted(g.random.sample(range(tensor.ndim), g.random.randrange(1, tensor.ndim + 1)))
        )
        g.assign(f"{{0}}.{name}({dims}{keepdim})", x)
    elif g.random.random() < 0.4 and name not in ("logsumexp",):
        g.assign(f"{{0}}.{name}()", x)
    elif name == "norm":
        g.assign(f"{{0}}.norm(dim={dim}{keepdim})", x)
    elif name == "count_nonzero":
        g.assign(f"{{0}}.count_nonzero({dim})", x)
    elif name not in ("max", "min", "median"):
        g.assign(f"{{0}}.{name}({dim}{keepdim})", x)


def view_of(g: Generator, tensor: Any) -> str:
    """A random view of a tensor."""
    a, b = axis(g.random, tensor), axis(g.random, tensor)
    size = tensor.shape[a] if tensor.ndim else 1
    order = list(range(tensor.ndim))
    g.random.shuffle(order)
    part = g.random.randrange(1, size + 1) if size else 0
    return g.random.choice([
        f"{{0}}[{index(g.random, tensor)}]", f"{{0}}[{index(g.random, tensor)}]",
        f"{{0}}[{index(g.random, tensor)}]",
        f"{{0}}.transpose({a}, {b})", f"{{0}}.permute({order})", "{0}.reshape(-1)", "{0}.view(-1)",
        f"{{0}}.select({a}, {g.random.randrange(max(size, 1))})", f"{{0}}.narrow({a}, 0, {part})",
        f"{{0}}.unsqueeze({a})", "{0}.squeeze()", "{0}.reshape(2, -1)", "{0}.flatten()", "{0}.mT",
        "{0}.expand(2, *{0}.shape)", f"{{0}}.diagonal(0, {a}, {b})",
        f"{{0}}.unfold({a}, {part}, 2)",
        f"{{0}}.chunk(2, {a})[-1]", f"{{0}}.unbind({a})[0]", f"{{0}}.split({max(part, 1)}, {a})[0]",
        "{0}.detach()", "{0}.view_as({0})", f"{{0}}.movedim({a}, {b})",
        "{0}.unsqueeze(0).expand(3, *{0}.shape)",
        f"{{0}}.flip({a})", f"{{0}}.roll(1, {a})", "{0}", "{0}.clone()", "{0}.contiguous()",
    ])  # fmt: skip


@phrase(8)
def view(g: Generator) -> None:
    """A view, or a copy that looks like one."""
    x = g.pick()
    if x is not None:
        g.assign(view_of(g, g.env[x]), x)


@phrase(7)
def write(g: Generator) -> None:
    """A write in place, on a base or on a view."""
    x = g.pick()
    if x is None or overlapping(g.env[x]):
        return
    tensor = g.env[x]
    y = g.pick(lambda other: tuple(other.shape) == tuple(tensor.shape)) or x
    place = index(g.random, tensor)
    texts = [
        f"{{0}}.add_({g.number()})",
        f"{{0}}.mul_({g.random.choice(['2', '0.5', '-1', g.number()])})",
        "{0}.zero_()", "{0}.copy_({1})", "{0}.add_({1})",
        f"{{0}}.add_({{1}}, alpha={g.random.choice('23')})",
        "{0}.mul_({1})", "{0}.sub_({1})", f"{{0}}[{place}] = {g.number()}",
        f"{{0}}[{place}] += {g.number()}",
        f"{{0}}[{place}] *= 2", f"{{0}}[{place}].mul_(0.5)", "{0}[{0} > 1] = 0.5",
        "{0}[{0} < 0] *= -1",
        f"{{0}}[{place}] = {{0}}[{place}].clone() * 0.5", "{0}.clamp_(-2, 2)", "{0}.neg_()",
        f"{{0}}.fill_({g.number()})", "{0}.relu_()", "{0}.masked_fill_({0} > 0.5, 1)",
        "{0}.sigmoid_()", "{0}.exp_().clamp_(max=3)", "{0}.lerp_({1}, 0.3)", "{0}.div_(2)",
        "{0}.addcmul_({1}, {1}, value=0.5)", "{0}.t_()", "{0}.squeeze_()",
        f"{{0}}[{place}] = {{1}}[{place}]", "{0}.abs_().sqrt_()", "{0}.floor_()", "{0} += {1}",
        "{0} *= 0.9", "{0}[-1:] = {0}[:1]", "{0}.round_()", "{0}.logical_not_()", "{0}.tanh_()",
    ]  # fmt: skip
    text = g.random.choice(texts)
    if (" += " in text or " *= " in text) and text.startswith("{0} "):
        g.assign(
            text.replace("{0} +=", "{0}.add_(").replace("{0} *=", "{0}.mul_(") + ")", x, y, target=x
        )
        return
    if "_()" in text and text in ("{0}.t_()", "{0}.squeeze_()") and x[0] != "t":
        return  # the shape of a leaf would change from step to step
    g.act(
        text, x, y, when=g.random.choice(["", "", "", "", "step % 2", "step != 3"]),
        quiet=g.random.random() < (0.5 if tensor.is_leaf and tensor.requires_grad else 0.08),
    )  # fmt: skip


@phrase(2)
def conversion(g: Generator) -> None:
    """Another type; floating-point numbers are made small before they become integers."""
    x = g.pick()
    if x is None:
        return
    to = g.random.choice(
        ["float32", "float64", "int64", "int32", "uint8", "bool", "bfloat16", "float32"]
    )
    if g.env[x].is_floating_point() and to in ("int64", "int32", "uint8"):
        low = 0 if to == "uint8" else -50
        g.assign(f"{{0}}.nan_to_num(1).clamp({low}, 50).to(torch.{to})", x)
    elif to == "uint8":
        g.assign("({0} % 7).to(torch.uint8)", x)
    else:
        g.assign(f"{{0}}.to(torch.{to})", x)


@phrase(1.5)
def read(g: Generator) -> None:
    """A number read in the middle of the step, for later or to be looked at."""
    x = g.pick(lambda t: t.numel() > 0)
    if x is None:
        return
    kind = g.random.random()
    if kind < 0.5:
        name = g.name("s")
        text = "float({0}.float().nan_to_num(0, 0, 0).mean().clamp(-3, 3).item())"
        if g.act(f"{name} = {text}", x):
            g.env[name] = float(g.env[name])
    elif kind < 0.8:
        g.act("look({0}.tolist())", x)
    elif kind < 0.9:
        g.act("look({0}.detach().cpu().numpy().sum(dtype=float))", x)
    else:
        g.act("look(bool(({0} > 0).any()))", x)


@phrase(1.5)
def drop(g: Generator) -> None:
    """A name nobody will use any more."""
    names = [n for n in g.tensors() if n[0] == "t"]
    if len(names) > 2:
        name = g.random.choice(names)
        g.act("del {0}", name)


@phrase(2)
def rebind(g: Generator) -> None:
    """A name that becomes something else: of the step, or of the state between steps."""
    x = g.pick(lambda t: not (t.is_leaf and t.requires_grad))
    if x is None:
        return
    tensor = g.env[x]
    y = g.pick(lambda o: tuple(o.shape) == tuple(tensor.shape) and o.dtype == tensor.dtype) or x
    if x[0] == "a":
        texts = [
            "({0} * 0.5 + {1} * 0.25).detach().to({0}.dtype)",
            "{1}.detach().clone()",
            "torch.roll({0}, 1)",
            "{1}.detach()",
            "{1}.detach() * 0.5",
        ]
        text = g.random.choice(texts)
    else:
        text = g.random.choice(
            ["{0} * 0.5", "{0} + {1}", "{0}.clone()", "{0}.tanh()", "{0} - step"]
        )
    g.assign(text, x, y, target=x)


@phrase(1)
def random_numbers(g: Generator) -> None:
    """Random numbers: the stream belongs to the program as it is written."""
    x = g.floating()
    if x is None:
        return
    g.assign(
        g.random.choice([
            "torch.rand({0}.shape)", "torch.randn({0}.shape)", "F.dropout({0}, 0.4)",
            "torch.randint(0, 5, {0}.shape)", "torch.rand_like({0})",
            "{0} + 0.1 * torch.randn(3, 1)",
            "F.dropout({0}, 0.2, training=step % 2 == 0)", "torch.bernoulli({0}.sigmoid())",
            "torch.randn_like({0}) * {0}", "torch.randperm(4)",
        ]),
        x,
    )  # fmt: skip


@phrase(1)
def made_new(g: Generator) -> None:
    """A tensor made in the step: nothing of it is an input."""
    shape = tuple(g.env[g.pick() or "a0"].shape) if g.tensors() else (3,)
    g.assign(
        g.random.choice([
            f"torch.zeros({shape})", f"torch.full({shape}, {g.number()})", "torch.arange(6.0)",
            "torch.arange(4) + step", f"torch.ones({shape}, dtype=torch.int64)", "torch.eye(4)",
            "torch.linspace(0, 1, 5)", f"torch.empty({shape}).fill_(step)",
            "torch.tensor([1.0, 2.0, float(step)])", "torch.tensor(step)",
            "torch.arange(3 + step % 2) * 2",
        ])
    )  # fmt: skip
