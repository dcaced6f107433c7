"""What the modules that PyTorch's programs import are called in rushlight: the one table."""

from __future__ import annotations

#: The release of PyTorch whose names and results rushlight follows.
TORCH_VERSION = "2.13.0"

#: Packages by the names that programs import, and rushlight's own. The first name of several for
#: one package is the one it answers with; a longer name goes before the shorter it begins with.
PACKAGES: dict[str, str] = {
    "torch": "rushlight",
    "torchvision": "rushlight.vision",
    "pytorch_lightning": "rushlight.lightning",
    "lightning.pytorch": "rushlight.lightning",
    "lightning": "rushlight.lightning",
}

#: Parts of rushlight that are no parts of PyTorch.
HIDDEN = frozenset(
    f"rushlight.{name}"
    for name in ("cli", "debug", "engine", "jupyter", "lightning", "vision")
)  # fmt: skip

#: Modules of PyTorch whose contents have another place here.
MOVED: dict[str, str] = {
    "torch.functional": "rushlight",
    "torch.nn.modules.channelshuffle": "rushlight.nn.modules.reshaping",
    "torch.nn.modules.flatten": "rushlight.nn.modules.reshaping",
    "torch.nn.modules.fold": "rushlight.nn.modules.reshaping",
    "torch.nn.modules.pixelshuffle": "rushlight.nn.modules.reshaping",
    "torch.nn.modules.upsampling": "rushlight.nn.modules.reshaping",
    "torch.optim.adadelta": "rushlight.optim.adaptive",
    "torch.optim.adamax": "rushlight.optim.adaptive",
    "torch.optim.adamw": "rushlight.optim.adam",
    "torch.optim.asgd": "rushlight.optim.signs",
    "torch.optim.nadam": "rushlight.optim.adaptive",
    "torch.optim.radam": "rushlight.optim.adaptive",
    "torch.optim.rprop": "rushlight.optim.signs",
    "torch.return_types": "rushlight.engine.ops.return_types",
    "torch.torch_version": "rushlight.version",
    "torch.utils.hooks": "rushlight.nn.modules.hooks",
}

#: Private modules of PyTorch's that libraries reach for, and that are here under the same names.
KNOWN = ("torch._C", "torch._tensor", "torch.utils.data._utils")

#: Private modules that libraries reach for and that are not here: what to tell them.
PRIVATE: dict[str, str] = {
    "torch._C": "this is in PyTorch's compiled core, and rushlight has none",
    "torch._dynamo": "programs are recorded and compiled without it",
    "torch._inductor": "programs are recorded and compiled without it",
    "torch._six": "PyTorch itself has given it up",
}

#: What ``importlib.metadata`` says of the distributions that rushlight stands for.
DISTRIBUTIONS: dict[str, str] = {
    "torch": TORCH_VERSION,
    "torchvision": "0.28.0",
    "pytorch-lightning": "2.6.0",
    "lightning": "2.6.0",
}


def package_of(name: str) -> str | None:
    """The package in the table that a dotted name is, or lies in.

    >>> from rushlight._names import package_of
    >>> package_of("lightning.pytorch.callbacks"), package_of("torchaudio")
    ('lightning.pytorch', None)
    """
    for package in PACKAGES:
        if name == package or name.startswith(package + "."):
            return package
    return None


def own_name(name: str) -> str | None:
    """What a module of PyTorch's is called here, whether or not there is one.

    Args:
        name: the dotted name that a program imports.

    Returns:
        The dotted name in rushlight; ``None`` for a name outside the table, or a private one.

    >>> from rushlight._names import own_name
    >>> own_name("torch.nn.functional"), own_name("torchvision.ops")
    ('rushlight.nn.functional', 'rushlight.vision.ops')
    >>> own_name("torch.optim.adamw"), own_name("torch._x"), own_name("torch.engine")
    ('rushlight.optim.adam', None, None)
    """
    if name in MOVED:
        return MOVED[name]
    package = package_of(name)
    if package is None:
        return None
    rest = name[len(package) :]
    own = PACKAGES[package] + rest
    shown = _is_public(rest) or name.startswith(KNOWN)
    return own if shown and _is_shown(own, PACKAGES[package]) else None


def torch_name(own: str) -> str | None:
    """What PyTorch's programs call one of rushlight's modules; ``None`` for a private one.

    >>> from rushlight._names import torch_name
    >>> torch_name("rushlight.nn"), torch_name("rushlight.vision.models")
    ('torch.nn', 'torchvision.models')
    >>> torch_name("rushlight.engine"), torch_name("rushlight._bind")
    (None, None)
    """
    for root in reversed(PACKAGES.values()):
        if root != "rushlight" and (own == root or own.startswith(root + ".")):
            first = next(name for name, other in PACKAGES.items() if other == root)
            return first + own[len(root) :] if _is_public(own[len(root) :]) else None
    if own != "rushlight" and not own.startswith("rushlight."):
        return None
    name = "torch" + own[len("rushlight") :]
    shown = _is_public(name) or name.startswith(KNOWN)
    return name if shown and _is_shown(own, "rushlight") else None


def _is_public(rest: str) -> bool:
    """Whether no part of a dotted name is private; ``__main__`` and its like are not."""
    return not any(p.startswith("_") and not p.endswith("__") for p in rest.split("."))


def _is_shown(own: str, package: str) -> bool:
    """Whether a module belongs to what PyTorch has, too."""
    if package != "rushlight":
        return True
    return not any(own == hidden or own.startswith(hidden + ".") for hidden in HIDDEN)
