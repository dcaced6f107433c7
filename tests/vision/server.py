"""A small server of files on this machine, which may break off or answer with errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """What is served, and what was asked for.

    Attributes:
        url: the address, with a slash at the end.
        files: the contents by path.
        break_after: so many bytes are sent at the most before the connection ends, once.
        ranges: whether parts of files are given.
        asked: the path and the range of each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.break_after: int | None = None
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append((self.path[1:], wanted))
            data = server.files.get(self.path[1:])
            if data is None:
                self.send_error(404)
                return
            begin = 0
            if wanted is not None and server.ranges:
                begin = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1))  # type: ignore[union-attr]
                if begin >= len(data):
                    self.send_error(416)
                    return
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(data) - begin))
            self.end_headers()
            rest = data[begin:]
            if server.break_after is not None:
                rest, server.break_after = rest[: server.break_after], None
            self.wfile.write(rest)

        def log_message(self, *_: Any) -> None:
            """Tests are silent."""

    return Handler


@contextmanager
def serving() -> Iterator[Server]:
    """A server as long as the block lasts."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}/"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
