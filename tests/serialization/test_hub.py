"""Weights from a server on this machine, and models from folders."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

import rushlight as torch
from rushlight.serialization import LoadError


class Server(HTTPServer):
    """Offers files; some answers are broken off in the middle."""

    files: dict[str, bytes]
    asked: list[str]
    broken: set[str]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked.append(name)
        data = self.server.files.get(name)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if name in self.server.broken else data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.files, made.asked, made.broken = {}, [], set()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[Path]:
    torch.hub.set_dir(tmp_path / "hub")
    yield tmp_path / "hub"
    torch.hub.set_dir(None)


def address(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def saved(obj: object) -> bytes:
    file = io.BytesIO()
    torch.save(obj, file)
    return file.getvalue()


def test_a_file_is_downloaded_once(server: Server, cache: Path, capsys) -> None:
    server.files["net.pth"] = saved({"weight": torch.arange(3.0)})
    url = address(server, "net.pth")
    for _ in range(2):
        assert torch.hub.load_state_dict_from_url(url)["weight"].tolist() == [0.0, 1.0, 2.0]
    assert server.asked == ["net.pth"]
    assert [file.name for file in (cache / "checkpoints").iterdir()] == ["net.pth"]
    shown = capsys.readouterr().err
    assert f'Downloading: "{url}" to' in shown
    assert "100%" in shown


def test_folder_name_and_silence(server: Server, tmp_path: Path, capsys) -> None:
    server.files["net"] = saved([1])
    found = torch.hub.load_state_dict_from_url(
        address(server, "net"), model_dir=tmp_path / "own", file_name="other.pt", progress=False,
        map_location="cpu",
    )  # fmt: skip
    assert found == [1]
    assert (tmp_path / "own" / "other.pt").exists()
    assert "%" not in capsys.readouterr().err


def test_the_hash_in_the_name(server: Server, cache: Path) -> None:
    data = saved([torch.ones(1)])
    right = f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    server.files.update({right: data, "net-01234567.pth": data})
    assert torch.hub.load_state_dict_from_url(address(server, right), check_hash=True)
    with pytest.raises(RuntimeError, match=r'invalid hash value \(expected "01234567"'):
        torch.hub.load_state_dict_from_url(address(server, "net-01234567.pth"), check_hash=True)
    assert [file.name for file in (cache / "checkpoints").iterdir()] == [right]


def test_a_download_that_breaks_off(server: Server, cache: Path) -> None:
    server.files["net.pth"] = saved([torch.ones(1000)])
    server.broken.add("net.pth")
    url = address(server, "net.pth")
    with pytest.raises(URLError, match="broke off at"):
        torch.hub.load_state_dict_from_url(url)
    assert list((cache / "checkpoints").iterdir()) == []
    server.broken.clear()
    assert torch.hub.load_state_dict_from_url(url)[0].shape == (1000,)


def test_a_file_that_is_not_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HTTPError, match="404"):
        torch.hub.download_url_to_file(address(server, "nothing"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_downloaded_file_cannot_run_code(server: Server) -> None:
    server.files["net.pth"] = saved(torch.nn.ReLU())
    url = address(server, "net.pth")
    with pytest.raises(LoadError, match="Unsupported global"):
        torch.hub.load_state_dict_from_url(url)
    found = torch.hub.load_state_dict_from_url(url, weights_only=False)
    assert type(found) is torch.nn.ReLU


def test_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.hub.set_dir(None)
    monkeypatch.setenv("TORCH_HOME", "/models")
    assert torch.hub.get_dir() == "/models/hub"
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert torch.hub.get_dir() == "/caches/torch/hub"


# models from folders -----------------------------------------------------------------------------

HUBCONF = '''
import rushlight as torch
import hub_helper
dependencies = ["numpy"]

def linear(width, bias=True):
    """A layer."""
    return torch.nn.Linear(width, hub_helper.OUT, bias)

def _hidden():
    pass
'''


def test_a_folder_with_models(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    (tmp_path / "hub_helper.py").write_text("OUT = 3")
    assert torch.hub.load(tmp_path, "linear", 2, bias=False, source="local").out_features == 3
    assert "linear" in torch.hub.list(tmp_path)
    assert "_hidden" not in torch.hub.list(tmp_path)
    assert torch.hub.help(tmp_path, "linear") == "A layer."
    with pytest.raises(RuntimeError, match="Cannot find callable missing in hubconf"):
        torch.hub.load(tmp_path, "missing", source="local")
    with pytest.raises(ValueError, match='Unknown source: "web"'):
        torch.hub.load(tmp_path, "linear", source="web")
    with pytest.raises(RuntimeError, match="download and run code"):
        torch.hub.load("pytorch/vision", "resnet18")
    with pytest.raises(FileNotFoundError, match="hubconf"):
        torch.hub.load(tmp_path / "nothing", "linear", source="local")


def test_missing_dependencies(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text('dependencies = ["no_such_package"]\n')
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        torch.hub.load(tmp_path, "anything", source="local")
