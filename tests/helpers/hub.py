"""A local stand-in of the Hugging Face hub: its HTTP for making, filling and reading models."""

import base64
import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"
COMMIT = "1" * 40


@dataclass
class Hub:
    """The state of the stand-in: ``{USER/NAME: {path: content}}``, and what was asked."""

    address: str = ""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    status: int = 0
    """If it is not 0, every answer has this status."""


@contextmanager
def stand_in() -> Generator[Hub]:
    """Serve a hub on the loopback address."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.status:
            self._send({"error": "refused by the test"}, status=self.hub.status)
        elif path.startswith("/api/"):
            self._api(path.removeprefix("/api/"), body)
        else:
            self._file(path.strip("/"))

    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _api(self, path: str, body: bytes) -> None:
        parts = path.split("/")
        if self.command == "POST" and not self._may_write() and parts[0] != "validate-yaml":
            self._send({"error": "Invalid username or password."}, status=401)
        elif path == "repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.hub.models.setdefault(name, {})
            if asked.get("private") or asked.get("visibility") == "private":
                self.hub.private.add(name)
            self._send({"url": f"{self.hub.address}/{name}"})
        elif path == "validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif path.startswith("whoami"):
            self._send({"name": "me", "type": "user", "orgs": []})
        elif parts[0] == "models":
            self._model("/".join(parts[1:3]), parts[3:], body)
        else:
            self._send({"error": path}, status=404)

    def _model(self, name: str, parts: list[str], body: bytes) -> None:
        files = self.hub.models.get(name)
        if files is None or (name in self.hub.private and not self._may_write()):
            # the real hub does not tell which of the two it is
            self._send({"error": "Repository not found"}, status=401, code="RepoNotFound")
        elif parts[:1] == ["preupload"]:
            asked = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for one in asked
            ]
            self._send({"files": modes})
        elif parts[:1] == ["commit"]:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    files[value["path"]] = base64.b64decode(value["content"])
            url = f"{self.hub.address}/{name}/commit/{COMMIT}"
            self._send({"commitUrl": url, "commitOid": COMMIT, "pullRequestUrl": None})
        elif parts[:1] == ["tree"]:
            found = [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                for path, content in files.items()
            ]
            self._send(found)
        elif parts[:1] == ["revision"] and parts[1] not in ("main", COMMIT):
            self._send({"error": "no revision"}, status=404, code="RevisionNotFound")
        else:
            siblings = [{"rfilename": path} for path in files]
            self._send({"id": name, "modelId": name, "sha": COMMIT, "private": False,
                        "tags": [], "siblings": siblings, "downloads": 0, "likes": 0})  # fmt: skip

    def _file(self, path: str) -> None:
        user, name, _resolve, _revision, *rest = path.split("/")
        files = self.hub.models.get(f"{user}/{name}")
        content = None if files is None else files.get("/".join(rest))
        if content is None:
            self._send({"error": path}, status=404, code="EntryNotFound")
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{_oid(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _send(self, value: Any, *, status: int = 200, code: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
