"""The page of a study as it is now, over HTTP on this machine alone, for one who has its token."""

from __future__ import annotations

import secrets
import socketserver
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Any

from hrnet_search.errors import Fault, HrnetSearchError, InputError
from hrnet_search.report.live_files import TEXT, Files, kind_of, linked_files
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.store.study import Snapshot, Study, word_of_results

HERE = "127.0.0.1"
NAMES = (HERE, "localhost")
"""What a browser on this machine may call the server; another name is a rebound DNS entry."""

SILENT_S = 30
"""How long a connection may say nothing: one that is left open keeps a thread."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HTML = "text/html; charset=utf-8"
NOT_SERVED = "not served here: the page and the files that it links to are\n"


class LivePage:
    """The page of a study that may be running; made again when a trial has ended."""

    def __init__(self, study: Study) -> None:
        self._study, self._lock = study, Lock()
        self._made: tuple[str, bytes, Files] = "", b"", {}

    def version(self) -> str:
        """Return what differs when the page would: a word for what trials have shown."""
        with self._lock:
            return self._version()

    def html(self) -> bytes:
        """Return the page as it is now. Raise StudyError for a study that is gone or damaged."""
        with self._lock:
            return self._now()[0]

    def file(self, path: str) -> bytes | None:
        """Return a file that the page links to as it is now, by its path; None for all else."""
        with self._lock:
            make = self._now()[1].get(path)
            return make() if make else None

    def _now(self) -> tuple[bytes, Files]:
        version = self._version()  # before the page: a trial that ends meanwhile shows next
        if version != self._made[0]:
            study = Snapshot(self._study)
            found = gather(study)
            self._made = version, page_html(found, live=version), linked_files(study, found)
        return self._made[1:]

    def _version(self) -> str:
        return f"{word_of_results(self._study)}-{self._study.outcome}"


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one page. Not `http.server.HTTPServer`, which asks the DNS for this machine's name.

    `port` 0 takes a free one. Raise InputError for a port that cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, page: LivePage, port: int, warn: Callable[[str], None]) -> None:
        self.page, self.token, self._warn = page, secrets.token_urlsafe(24), warn
        try:
            super().__init__((HERE, port), _Handler)
        except OSError as error:
            wrong = f"port {port} cannot be had: {error.strerror}"
            raise InputError(Fault("--port", port, wrong, "a free port, or none given")) from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the page is, for a browser on this machine."""
        return f"http://{HERE}:{self.port}/{self.token}/"

    def answer(self, host: str, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return the status, kind and body that answer a request."""
        if host not in [f"{name}:{self.port}" for name in NAMES]:
            return HTTPStatus.FORBIDDEN, TEXT, b"another host\n"
        token, _, rest = path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            return HTTPStatus.FORBIDDEN, TEXT, b"wrong token\n"
        return self._made(rest if path == f"/{self.token}/{rest}" else None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that leaves in the middle; others are answered all the same."""

    def _made(self, rest: str | None) -> tuple[HTTPStatus, str, bytes]:
        try:
            if rest == "":
                return HTTPStatus.OK, HTML, self.page.html()
            if rest == "version":
                return HTTPStatus.OK, TEXT, self.page.version().encode()
            if rest is not None and (content := self.page.file(rest)) is not None:
                return HTTPStatus.OK, kind_of(rest), content
            return HTTPStatus.NOT_FOUND, TEXT, NOT_SERVED.encode()
        except HrnetSearchError as error:  # the study was moved, or is being repaired
            self._warn(str(error))
            return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, f"{error}\n".encode()
        except Exception as error:
            self._warn(f"the page could not be made: {type(error).__name__}: {error}")
            return HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, b"the page could not be made\n"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = SILENT_S

    def parse_request(self) -> bool:
        """Read a request; refuse at once what would do more than read."""
        if not super().parse_request():
            return False
        if self.command in ("GET", "HEAD"):
            return True
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        return False

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def version_string(self) -> str:
        return "hrnet-search"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the address holds the token."""

    def _answer(self, body: bool) -> None:
        status, kind, text = self.server.answer(self.headers.get("Host", ""), self.path)
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(text), **HEADERS}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(text)
