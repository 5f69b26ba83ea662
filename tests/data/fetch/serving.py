"""A local HTTP server that can misbehave in the ways that servers and networks do, and keeps a log."""

import hashlib
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class File:
    """What the server has under a path."""

    content: bytes
    kind: str = "application/octet-stream"
    etag: str | None = None  # None: from the content
    modified: float | None = None
    ranges: bool = True
    length: int | None = None  # announced in place of the true one; -1: not announced
    drops: list[int] = field(
        default_factory=list
    )  # bytes after which the first, second ... answer breaks off
    statuses: list[int] = field(default_factory=list)  # of the first, second ... answer in place of the file
    rate: float | None = None  # bytes a second
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None

    @property
    def tag(self) -> str:
        return self.etag if self.etag is not None else f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


@dataclass
class Asked:
    """One request and how it was answered."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class Server:
    """Serves `files`. With a TLS context it is a proxy that plays every host: paths then begin with the host."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, File] = {}
        self.log: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            host = ""

            def do_CONNECT(self) -> None:
                self.host = self.path.partition(":")[0]
                self.send_response(200)
                self.end_headers()
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                self.close_connection = False  # although asked in HTTP/1.0

            def do_GET(self) -> None:
                outer.answer(self)

            do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, path: str, content: bytes, **how) -> str:
        """Serve `content` under `path`; returns the address."""
        self.files[path] = File(content, **how)
        return self.url + path

    def sent(self) -> int:
        return sum(asked.sent for asked in self.log)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        where = request.host + request.path
        path = where if where in self.files else where.partition("?")[0]
        asked = Asked(request.command, where, {key.lower(): value for key, value in request.headers.items()})
        self.log.append(asked)
        file = self.files.get(path)
        if file is None or file.statuses:
            asked.status = 404 if file is None else file.statuses.pop(0)
            page = b"<html><title>no</title></html>"
            request.send_response(asked.status)
            for key, value in (file.headers if file else {}).items():
                request.send_header(key, value)
            request.send_header("Content-Type", "text/html")
            request.send_header("Content-Length", str(len(page)))
            request.end_headers()
            request.wfile.write(page)
            return
        if file.redirect:
            asked.status = 302
            request.send_response(302)
            request.send_header("Location", file.redirect)
            for key, value in file.headers.items():
                request.send_header(key, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        self._send(request, file, asked)

    def _send(self, request: BaseHTTPRequestHandler, file: File, asked: Asked) -> None:
        start, end, whole = 0, len(file.content), len(file.content)
        modified = formatdate(file.modified, usegmt=True) if file.modified is not None else None
        if file.ranges and asked.range and asked.headers.get("if-range") in (None, file.tag, modified):
            first, _, last = asked.range.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(whole - int(last), 0)
            end = min(int(last) + 1, whole) if first and last else whole
            asked.status = 206 if start < whole else 416
        else:
            asked.status = 200
        request.send_response(asked.status)
        request.send_header("Content-Type", file.kind)
        if file.tag:
            request.send_header("ETag", file.tag)
        if modified:
            request.send_header("Last-Modified", modified)
        if asked.status == 206:
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{whole}")
        body = b"" if asked.status == 416 else file.content[start:end]
        for key, value in file.headers.items():
            request.send_header(key, value)
        if file.length == -1:
            request.send_header("Connection", "close")
        else:
            request.send_header("Content-Length", str(len(body) if file.length is None else file.length))
        request.end_headers()
        if request.command == "HEAD":
            return
        cut = file.drops.pop(0) if file.drops else None
        with suppress(OSError):  # the client is gone
            for at in range(0, len(body) if cut is None else min(cut, len(body)), 16384):
                block = body[at : min(at + 16384, len(body) if cut is None else cut)]
                request.wfile.write(block)
                asked.sent += len(block)
                if file.rate:
                    time.sleep(len(block) / file.rate)
        if cut is not None or file.length is not None:
            request.close_connection = True


@contextmanager
def serving(context: ssl.SSLContext | None = None):
    server = Server(context)
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
