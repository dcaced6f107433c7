"""Weights from the network and models from folders: ``torch.hub``."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from rushlight._serialization import load as _load_file, written_atomically
from rushlight.engine.core.config import torch_home
from rushlight.engine.core.digest import sha256

READ_DATA_CHUNK = 128 * 1024
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")

#: Seconds without an answer after which a server counts as absent.
_TIMEOUT = 30.0

_HUBCONF = "hubconf.py"


class _Place:
    """The folder that ``set_dir`` has set."""

    folder: str | None = None


def get_dir() -> str:
    """The folder for what is downloaded.

    Returns:
        The one that ``set_dir`` set, else ``$TORCH_HOME/hub``, where ``TORCH_HOME`` is
        ``~/.cache/torch`` unless it, or ``XDG_CACHE_HOME``, says otherwise: PyTorch's own, so
        that weights which are there already are found.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.get_dir.

    >>> import rushlight as torch
    >>> torch.hub.set_dir("weights")
    >>> torch.hub.get_dir()
    'weights'
    >>> torch.hub.set_dir(None)
    """
    return _Place.folder if _Place.folder is not None else os.path.join(torch_home(), "hub")


def set_dir(d: str | os.PathLike[str] | None) -> None:
    """Set the folder for what is downloaded.

    Args:
        d: the folder, which need not exist; ``None`` for the default.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.set_dir.
    """
    _Place.folder = None if d is None else os.path.expanduser(os.fspath(d))


def download_url_to_file(
    url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Bring a file from the network; it takes its name when it is whole and its hash is right.

    Args:
        url: the address.
        dst: where the file goes.
        hash_prefix: what its SHA-256 hash begins with.
        progress: whether to show a bar.

    Raises:
        RuntimeError: the hash is another one, or the folder does not exist.
        URLError: the server is not there, has no such file, or the connection broke off.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.download_url_to_file.
    """
    request = Request(url, headers={"User-Agent": "torch.hub"})
    goal = os.path.expanduser(os.fspath(dst))
    with urlopen(request, timeout=_TIMEOUT) as response, written_atomically(goal) as file:
        found = _receive(response, file, progress)
        if hash_prefix is not None and not found.startswith(hash_prefix):
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", got "{found}")\n'
                f"Nothing was kept: download {url} again, or ask who offers it."
            )


def _receive(response: Any, file: IO[bytes], progress: bool) -> str:
    """Write what a server sends; its SHA-256 hash."""
    from tqdm import tqdm

    length = response.headers.get("Content-Length")
    total = int(length) if length is not None else None
    digest, done = sha256(), 0
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with tqdm(total=total, disable=not progress, **options) as bar:
        while chunk := response.read(READ_DATA_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            bar.update(len(chunk))
    if total is not None and done < total:
        raise URLError(f"the connection broke off at {done} of {total} bytes; nothing was kept")
    return digest.hexdigest()


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What ``torch.load`` gives for a file from the network, which is downloaded once.

    Args:
        url: the address.
        model_dir: the folder to keep the file in; ``checkpoints`` in ``get_dir()`` by default.
        map_location: where tensors go, see ``torch.load``.
        progress: whether to show a bar while downloading.
        check_hash: whether the file's name has the beginning of its SHA-256 hash in it,
            ``name-<hash>.ext``, which it must then have.
        file_name: what to call the file; the last part of the address by default.
        weights_only: ``False`` loads more than plain data; only for addresses you trust.

    Raises:
        RuntimeError: the hash is another one.
        LoadError: the file is damaged, or asks for more than data.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.load_state_dict_from_url.
    """
    folder = Path(model_dir if model_dir is not None else os.path.join(get_dir(), "checkpoints"))
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    if not name or name != os.path.basename(name):
        raise ValueError(f"{name!r} is no name for a file; pass file_name=")
    goal = folder / name
    if not goal.exists():
        sys.stderr.write(f'Downloading: "{url}" to {goal}\n')
        match = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, goal, match.group(1) if match else None, progress=progress)
    return _load_file(goal, map_location=map_location, weights_only=weights_only)


# models from folders -----------------------------------------------------------------------------


def load(
    repo_or_dir: str | os.PathLike[str],
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = None,
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What a function in a folder's ``hubconf.py`` gives.

    Args:
        repo_or_dir: the folder.
        model: the function's name.
        args: its arguments.
        source: ``'local'``.
        trust_repo: nothing follows from it: the folder is yours.
        force_reload: nothing follows from it.
        verbose: nothing follows from it.
        skip_validation: nothing follows from it.
        kwargs: its arguments by name.

    Raises:
        ValueError: ``source`` is no such word.
        RuntimeError: code would have to be downloaded, or there is no such function.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.load.
    """
    return _entry(_configuration(repo_or_dir, source), model)(*args, **kwargs)


def list(
    github: str | os.PathLike[str],
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: Any = None,
    verbose: bool = True,
    source: str = "local",
) -> Any:
    """The names of the functions in a folder's ``hubconf.py``.

    Args:
        github: the folder.
        force_reload: nothing follows from it.
        skip_validation: nothing follows from it.
        trust_repo: nothing follows from it.
        verbose: nothing follows from it.
        source: ``'local'``.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.list.
    """
    found = vars(_configuration(github, source))
    return [name for name, item in found.items() if callable(item) and not name.startswith("_")]


def help(
    github: str | os.PathLike[str],
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: Any = None,
    source: str = "local",
) -> str | None:
    """The docstring of a function in a folder's ``hubconf.py``.

    Args:
        github: the folder.
        model: the function's name.
        force_reload: nothing follows from it.
        skip_validation: nothing follows from it.
        trust_repo: nothing follows from it.
        source: ``'local'``.

    See https://pytorch.org/docs/stable/hub.html#torch.hub.help.
    """
    text: str | None = _entry(_configuration(github, source), model).__doc__
    return text


def _configuration(folder: str | os.PathLike[str], source: str) -> ModuleType:
    """The module ``hubconf.py`` in a folder, run with the folder on the module path."""
    if str(source).lower() not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if str(source).lower() == "github" and not os.path.isdir(folder):
        raise RuntimeError(
            f"torch.hub would download and run code from {folder}, which rushlight does not do.\n"
            f"Clone the repository, look at it, and pass its folder with source='local'."
        )
    place = os.path.join(os.path.expanduser(os.fspath(folder)), _HUBCONF)
    spec = importlib.util.spec_from_file_location(_HUBCONF[:-3], place)
    if spec is None or spec.loader is None or not os.path.isfile(place):
        raise FileNotFoundError(f"there is no {place}")
    sys.path.insert(0, os.path.dirname(place))
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(os.path.dirname(place))
    missing = [name for name in getattr(module, "dependencies", ()) if not _is_there(name)]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module


def _is_there(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _entry(module: ModuleType, model: str) -> Any:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    found = vars(module).get(model)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found
