"""Phrases about several tensors: products, joining, looking up, layers, gradients, updates."""

from __future__ import annotations

from tests.fuzz.generator import Generator, broadcast, phrase
from tests.fuzz.phrases import axis


@phrase(3)
def product(g: Generator) -> None:
    """A matrix product, with another tensor that fits or with a new weight."""
    x = g.floating(lambda t: t.ndim >= 1 and t.numel() > 0)
    if x is None:
        return
    tensor = g.env[x]
    kind = g.random.random()
    if kind < 0.25 and tensor.ndim >= 2:
        g.assign(g.random.choice(["{0} @ {0}.transpose(-1, -2)", "{0}.mT @ {0}"]), x)
        return
    dtype = str(tensor.dtype).removeprefix("torch.")
    out, grad = g.random.choice([1, 2, 4, 5]), g.random.random() < 0.6
    if kind < 0.6:
        weight = g.new_leaf("w", (out, tensor.shape[-1]), dtype, low=-0.8, high=0.8, grad=grad)
        if g.random.random() < 0.6:
            bias = g.new_leaf("w", (out,), dtype, low=-0.5, high=0.5, grad=grad)
            g.assign("F.linear({0}, {1}, {2})", x, weight, bias)
        else:
            g.assign("F.linear({0}, {1})", x, weight)
        return
    y = g.floating(
        lambda t: t.dtype == tensor.dtype and t.ndim >= 1
        and t.shape[-2 if t.ndim > 1 else -1] == tensor.shape[-1]
    )  # fmt: skip
    if y is None:
        y = g.new_leaf("w", (tensor.shape[-1], out), dtype, low=-0.8, high=0.8, grad=grad)
    forms = ["{0} @ {1}", "torch.matmul({0}, {1})", "{0} @ {1} + 0.5", "({0} @ {1}).relu()"]
    if tensor.ndim == 3:
        forms += ["torch.einsum('bij,jk->bik', {0}, {1})"] * (g.env[y].ndim == 2)
    g.assign(g.random.choice(forms), x, y)


@phrase(3)
def joining(g: Generator) -> None:
    """Tensors side by side."""
    x = g.pick()
    if x is None:
        return
    tensor = g.env[x]
    y = g.pick(lambda t: tuple(t.shape) == tuple(tensor.shape)) or x
    dim = axis(g.random, tensor)
    g.assign(
        g.random.choice([
            f"torch.cat([{{0}}, {{1}}], {dim})", f"torch.stack([{{0}}, {{1}}], {dim})",
            f"torch.cat([{{0}}, {{1}} * 2, {{0}}], {dim})", "torch.stack([{0}, {1}]).sum(0)",
            f"torch.cat({{0}}.split(2, {dim})[::-1], {dim})",
            f"torch.cat([{{0}}[:1], {{1}}[1:]], {dim})",
            "torch.hstack([{0}, {1}])", f"{{0}}.repeat_interleave(2, {dim})",
            "{0}.repeat(2, *[1] * {0}.ndim)",
            f"torch.chunk({{0}}, 2, {dim})[0] + torch.chunk({{0}}, 2, {dim})[-1]",
        ]),
        x, y,
    )  # fmt: skip


@phrase(3)
def looking_up(g: Generator) -> None:
    """Elements by index tensors and masks, read and written."""
    x = g.pick(lambda t: t.ndim >= 1 and t.shape[0] > 0 and t.numel() > 0)
    if x is None:
        return
    tensor = g.env[x]
    dim = axis(g.random, tensor)
    rows = g.indices(g.random.choice([(2,), (3,), (2, 2), ()]), tensor.shape[0])
    flat = g.indices((3,), tensor.shape[dim], negative=False)
    shape = tuple(tensor.shape)
    same = g.indices(shape, tensor.shape[dim], negative=False)
    reads = [
        ("{0}[{1}]", rows), ("{0}[{1}] * 2 + {0}[0]", rows),
        (f"{{0}}.index_select({dim}, {{1}})", flat),
        (f"{{0}}.gather({dim}, {{1}})", same), (f"torch.take_along_dim({{0}}, {{1}}, {dim})", same),
        ("{0}[{0} > 0.5]", rows), ("torch.masked_select({0}, {0} != 0)", rows),
        ("{0}[None, {1}]", rows),
        ("{0}[..., {1} * 0]", rows),
        (f"torch.zeros_like({{0}}).scatter_add({dim}, {{1}}, {{0}})", same),
        (f"{{0}}.scatter({dim}, {{1}}, 1.5)", same),
        (f"{{0}}.index_add({dim}, {{1}}, {{0}}.index_select({dim}, {{1}}))", flat),
        ("F.one_hot({1}.abs(), 9)", flat), ("F.embedding({1}, {0})", flat),
        ("torch.nonzero({0} > 0)", rows),
        (f"{{0}}.index_fill({dim}, {{1}}, 2)", flat),
    ]  # fmt: skip
    writes = [
        ("{0}[{1}] = 0.5", rows), ("{0}[{1}] += 1", rows), ("{0}[{1}] = {0}[{1}] * 0.5", rows),
        (f"{{0}}.index_fill_({dim}, {{1}}, 1)", flat), (f"{{0}}.scatter_({dim}, {{1}}, 2)", same),
        (f"{{0}}.scatter_add_({dim}, {{1}}, {{0}}.clone())", same),
    ]  # fmt: skip
    if g.random.random() < 0.75:
        text, other = g.random.choice(reads)
        g.assign(text, x, other)
    else:
        text, other = g.random.choice(writes)
        g.act(text, x, other, quiet=g.random.random() < 0.2)


@phrase(2)
def choosing(g: Generator) -> None:
    """``where`` and its like, of tensors that fit together."""
    x = g.pick()
    if x is None:
        return
    tensor = g.env[x]
    y = g.pick(lambda t: broadcast([t.shape, tensor.shape])) or x
    g.assign(
        g.random.choice([
            "torch.where({0} > 0, {0}, {1})", "torch.where({0} > {1}, {0}, 0.5)",
            "torch.maximum({0}, {1})",
            "{0}.masked_fill({1} > 0, -1)", "torch.clamp({0}, -1, 1)", "torch.clamp({0}, min=0.1)",
            "torch.lerp({0}, {1}, 0.25)", "torch.addcmul({0}, {1}, {1}, value=0.5)",
            "torch.minimum({0}, {1})",
            f"torch.clamp({{0}}, max={g.number()})", "torch.where({0} == {1}, 1.0, 0.0)",
            "torch.isnan({0} / {1})", "torch.logical_and({0}, {1})", "torch.atan2({0}, {1})",
            "{0}.masked_fill({1} > 0, -inf).softmax(-1)", "{0}.masked_fill({1} > 1, -inf).exp()",
            "{0}.masked_fill({1} > 1, inf).amax(-1)",
            "torch.where({1} > 0, {0}, nan).nan_to_num(2)",
        ]),
        x, y,
    )  # fmt: skip


@phrase(3)
def layer(g: Generator) -> None:
    """A layer of a network."""
    x = g.floating(lambda t: t.ndim >= 2 and t.numel() > 0 and str(t.dtype) == "torch.float32")
    if x is None:
        return
    tensor = g.env[x]
    size = tensor.shape[-1]
    if tensor.ndim == 4 and g.random.random() < 0.8 and min(tensor.shape[2:]) >= 3:
        _image(g, x)
        return
    channels = tensor.shape[1]
    kind = g.random.choice(
        ["layer_norm", "batch_norm", "loss", "class", "gelu", "softmax", "rms", "attention"]
    )
    if kind == "layer_norm":
        weight = g.new_leaf("w", (size,), grad=True)
        g.assign(f"F.layer_norm({{0}}, ({size},), {{1}}, {{1}} * 0.5)", x, weight)
    elif kind == "batch_norm" and tensor.numel() // max(channels, 1) > 1:
        mean, var = g.new_leaf("a", (channels,)), g.new_leaf("a", (channels,), low=0.5, high=1.0)
        g.assign("F.batch_norm({0}, {1}, {2}, training=step != 3)", x, mean, var)
    elif kind == "class" and tensor.ndim == 2:
        target = g.indices((tensor.shape[0],), tensor.shape[1], negative=False)
        g.assign(
            g.random.choice(["F.cross_entropy({0}, {1})", "F.nll_loss({0}.log_softmax(1), {1})"]),
            x,
            target,
        )
    elif kind == "loss":
        y = (
            g.floating(lambda t: tuple(t.shape) == tuple(tensor.shape) and t.dtype == tensor.dtype)
            or x
        )
        g.assign(g.random.choice([
            "F.mse_loss({0}, {1} * 0.5)", "F.smooth_l1_loss({0}, {1} - 1)",
            "F.l1_loss({0}, {1} * 2)",
            "F.binary_cross_entropy_with_logits({0}, {1}.sigmoid())",
            "F.huber_loss({0}, {1} * 0.1)",
        ]), x, y)  # fmt: skip
    elif kind == "attention" and tensor.ndim == 3:
        g.assign("F.scaled_dot_product_attention({0}, {0} * 0.5, {0})", x)
    else:
        g.assign(g.random.choice([
            "F.gelu({0})", "F.silu({0})", "F.softplus({0})", "F.leaky_relu({0}, 0.1)", "F.elu({0})",
            "F.softmax({0}, -1) * {0}", "F.normalize({0}, dim=-1)", "F.hardtanh({0})",
            "F.glu({0}, 0)",
            "F.pad({0}, (1, 1))", "F.mish({0})", "F.rms_norm({0}, ({0}.shape[-1],))",
        ]), x)  # fmt: skip


def _image(g: Generator, x: str) -> None:
    """A layer on images."""
    channels = g.env[x].shape[1]
    kind = g.random.random()
    if kind < 0.45:
        out, size = g.random.choice([2, 4]), g.random.choice([1, 3])
        weight = g.new_leaf(
            "w", (out, channels, size, size), low=-0.5, high=0.5, grad=g.random.random() < 0.7
        )
        bias = g.new_leaf("w", (out,), grad=True)
        options = g.random.choice(["", ", padding=1", ", stride=2", ", 2, 1"])
        end = g.random.choice(["", ".relu()", " * 0.5", ".tanh()"])
        g.assign(f"F.conv2d({{0}}, {{1}}, {{2}}{options}){end}", x, weight, bias)
    elif kind < 0.65:
        g.assign(g.random.choice([
            "F.max_pool2d({0}, 2)", "F.max_pool2d({0}, 3, 2, 1)", "F.avg_pool2d({0}, 2)",
            "F.adaptive_avg_pool2d({0}, 1).flatten(1)", "F.interpolate({0}, scale_factor=2)",
        ]), x)  # fmt: skip
    elif kind < 0.8:
        mean, var = g.new_leaf("a", (channels,)), g.new_leaf("a", (channels,), low=0.5, high=1.0)
        weight = g.new_leaf("w", (channels,), grad=True)
        g.assign("F.batch_norm({0}, {1}, {2}, {3}, {3}, training=True)", x, mean, var, weight)
    else:
        g.assign(
            g.random.choice(["{0}.flatten(1)", "{0}.mean((2, 3))", "{0}.flatten(1)[:, :10]"]), x
        )


@phrase(3)
def gradient(g: Generator) -> None:
    """Gradients of something with respect to something, looked at or used for an update."""
    leaves = [n for n in g.tensors(lambda t: t.is_leaf and t.requires_grad) if n[0] == "w"]
    outputs = g.tensors(lambda t: t.requires_grad and not t.is_leaf and t.is_floating_point())
    if not leaves or not outputs:
        return
    y = g.random.choice(outputs[-5:])
    loss = g.random.choice(
        ["{0}.sum()", "({0} * {0}).mean()", "({0}.mean() * 3)", "(({0} ** 2).sum() * 0.1)"]
    )
    if g.random.random() < 0.4:
        options = ", create_graph=True" if g.random.random() < 0.25 else ""
        w = g.random.choice(leaves)
        g.assign(
            f"torch.autograd.grad({loss}, {{1}}, retain_graph=True, allow_unused=True{options})[0]",
            y,
            w,
        )
        return
    retain = g.random.choice(["retain_graph=True", "retain_graph=True", ""])
    if not g.act(f"{loss}.backward({retain})", y):
        return
    update(g, leaves)


def update(g: Generator, leaves: list[str]) -> None:
    """What follows a backward pass: an optimizer, or a rule by hand."""
    kind = g.random.random()
    if kind < 0.4 and not g.optimizer:
        rule = g.random.choice([
            "SGD({0}, lr=0.05)", "SGD({0}, lr=0.05, momentum=0.9, weight_decay=1e-3)",
            "Adam({0}, lr=0.02)",
            "AdamW({0}, lr=0.02)", "RMSprop({0}, lr=0.01)", "Adagrad({0}, lr=0.1)",
            "SGD({0}, lr=0.05, momentum=0.9, nesterov=True)",
        ])  # fmt: skip
        g.optimizer = f"torch.optim.{rule.replace('{0}', '[' + ', '.join(leaves) + ']')}"
        g.env["optimizer"] = eval(g.optimizer, g.env)
    if kind < 0.6 and g.optimizer:
        if g.random.random() < 0.3:
            g.act("optimizer.param_groups[0]['lr'] = 0.05 / (1 + step)")
        g.act("optimizer.step()")
        if g.random.random() < 0.8:
            g.act("optimizer.zero_grad()")
        return
    for w in leaves:
        if g.env[w].grad is None:
            continue
        if kind < 0.9:
            g.act(g.random.choice([
                "{0}.sub_({0}.grad.clamp(-1, 1), alpha=0.1)", "{0} -= 0.05 * {0}.grad.clamp(-1, 1)",
                "{0}.data.add_({0}.grad.clamp(-1, 1), alpha=-0.1)",
                "{0}.copy_({0} - (0.1 / (step + 1)) * {0}.grad.clamp(-1, 1))",
            ]), w, quiet=True)  # fmt: skip
        g.act(g.random.choice(["{0}.grad = None", "{0}.grad = None", "{0}.grad.zero_()",
        "{0}.grad *= 0.5"]), w,
              quiet=True)  # fmt: skip
