# SPDX-License-Identifier: Apache-2.0
"""A registry in this process, with the part of the distribution API that a remote uses, and with faults."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "team/modcompat"
TAGS_OF_A_PAGE = 2


@dataclass
class Answer:
    """What a server answers."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # bytes of the content after which the connection ends; None: all
    cut: int | None = None


@dataclass(frozen=True)
class Request:
    """What a server is asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    content: bytes


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class OciServer:
    """A registry with one repository."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, bytes] = {}
        # what happens before a request is answered: the answer, or None to go on
        self.before: Callable[[Request], Answer | None] = lambda _: None
        # what is done to each answer
        self.after: Callable[[Request, Answer], Answer] = lambda _, answer: answer
        self.requests: list[Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"oci+http://127.0.0.1:{self.port}/{REPOSITORY}"

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.after(request, self.before(request) or self.answer_of(request))

    def answer_of(self, request: Request) -> Answer:  # noqa: PLR0911 - one for each end point
        """The answer to a request, without faults."""
        what, _, name = request.path.removeprefix(f"/v2/{REPOSITORY}/").partition("/")
        match request.method, what, name:
            case "GET", "tags", "list":
                return self._list(request.query.get("last", ""))
            case "GET", "manifests", tag if tag in self.tags:
                return Answer(content=self.tags[tag])
            case "PUT", "manifests", tag:
                self.tags[tag] = request.content
                return Answer(201)
            case "GET" | "HEAD", "blobs", digest if digest in self.blobs:
                return Answer(content=self.blobs[digest])
            case "POST", "blobs", "uploads/":
                return Answer(202, headers={"Location": f"/v2/{REPOSITORY}/blobs/uploads/1?state=x"})
            case "PUT", "blobs", "uploads/1":
                if _digest(request.content) != request.query["digest"] or request.query["state"] != "x":
                    return Answer(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "wrong digest"}]}')
                self.blobs[request.query["digest"]] = request.content
                return Answer(201)
        return Answer(404, b'{"errors": [{"code": "UNKNOWN", "message": "unknown"}]}')

    def _list(self, last: str) -> Answer:
        following = [tag for tag in sorted(self.tags) if tag > last]
        page = following[:TAGS_OF_A_PAGE]
        link = f'</v2/{REPOSITORY}/tags/list?n={TAGS_OF_A_PAGE}&last={page[-1]}>; rel="next"' if page else ""
        return Answer(content=json.dumps({"tags": page}).encode(), headers={"Link": link})


@contextmanager
def serving(server: OciServer) -> Iterator[OciServer]:
    """Answer requests until the context is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            url = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            answer = server.answer(Request(self.command, url.path, query, self.headers, content))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - the names of the base class

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
