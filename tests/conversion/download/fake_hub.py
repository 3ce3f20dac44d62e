"""A model hub on 127.0.0.1, as far as huggingface_hub asks one: revisions with hashes, files by range, large files on
another host, error headers. What goes wrong on real networks can be switched on."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

OMNI, MEDICAL = "Qwen/Qwen2.5-Omni-7B", "Henrychur/MMed-Llama-3-8B-EnIns"
PAGE = b"<!DOCTYPE html><html><body>Please log in to the hospital network</body></html>"
SECRET = "hf_" + "s3cr3tT0ken" * 3
"""The one token that the hub knows."""


@dataclass(frozen=True)
class HubFile:
    name: str
    data: bytes

    @property
    def is_large(self) -> bool:
        return self.name.endswith((".safetensors", ".bin"))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def blob_id(self) -> str:
        content = f"pointer {self.sha256}".encode() if self.is_large else self.data
        return _git_id(f"blob {len(content)}\0".encode() + content)

    @property
    def sibling(self) -> dict[str, Any]:
        large = {"lfs": {"sha256": self.sha256, "size": len(self.data), "pointerSize": 130}} if self.is_large else {}
        return {"rfilename": self.name, "size": len(self.data), "blobId": self.blob_id, **large}


@dataclass
class HubRepo:
    """Commit -> files; branch -> commit."""

    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        held = {name: HubFile(name, data) for name, data in files.items()}
        commit = _git_id("".join(sorted(file.name + file.sha256 for file in held.values())).encode())
        self.commits[commit] = held
        self.branches["main"] = commit
        return commit


@dataclass
class FakeHub:
    repos: dict[str, HubRepo] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers (names in lower case) of all that came, in order."""
    stall_after: dict[str, int] = field(default_factory=dict)
    """File -> bytes after which its transfer waits until `release` is set."""
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """File -> for each coming transfer, the bytes after which the connection breaks."""
    instead: dict[str, list[bytes]] = field(default_factory=dict)
    """File -> for each coming transfer, the bytes that are sent in place of its own."""
    pages_only: bool = False
    without_hashes: bool = False
    release: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def other_host(self) -> str:
        """Where large files lie: another name, so that no token may go there."""
        return f"http://localhost:{self._server.server_port}"

    def publish(self, repo: str, files: dict[str, bytes]) -> str:
        return self.repos.setdefault(repo, HubRepo()).commit(files)

    def publish_folder(self, repo: str, folder: Path) -> str:
        return self.publish(repo, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})

    def transfers(self) -> list[str]:
        """Names of the files whose bytes were asked for."""
        paths = [urlsplit(path).path for method, path, _ in self.requests if method == "GET"]
        return [path.rpartition("/")[2] for path in paths if "/large/" in path or "/resolve/" in path]

    def ranges(self, name: str) -> list[str]:
        """Range headers of the transfers of a file, in order."""
        return [headers["range"] for _, path, headers in self.requests if path.endswith(name) and "range" in headers]


def _git_id(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if self.hub.pages_only:
            self._send(200, {"Content-Type": "text/html"}, PAGE)
        elif self.headers.get("Authorization", f"Bearer {SECRET}") != f"Bearer {SECRET}":
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif parts[0] == "large":
            commit, name = parts[-2:]
            repo = "/".join(parts[1:3])
            self._file(self.hub.repos[repo].commits[commit][name])
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[5])
        else:
            self._resolve("/".join(parts[:2]), parts[3], parts[4])

    def _api(self, name: str, revision: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
            return
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        siblings = [file.sibling for file in repo.commits[commit].values()]
        if self.hub.without_hashes:
            siblings = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
        body = json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _resolve(self, name: str, commit: str, file: str) -> None:
        if name in self.hub.gated:
            status = 403 if "Authorization" in self.headers else 401
            self._refuse(status, "GatedRepo", "Access to this model is restricted.")
            return
        held = self.hub.repos[name].commits[commit].get(file)
        if held is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        if held.is_large:
            headers = {
                "Location": f"{self.hub.other_host}/large/{name}/{commit}/{file}",
                "X-Linked-Etag": f'"{held.sha256}"',
                "X-Linked-Size": str(len(held.data)),
                "X-Repo-Commit": commit,
            }
            self._send(302, headers, b"")
            return
        self._file(held, {"ETag": f'"{held.blob_id}"', "X-Repo-Commit": commit})

    def _file(self, file: HubFile, headers: dict[str, str] | None = None) -> None:
        data, status, sent = file.data, 200, dict(headers or {})
        if self.command == "GET" and self.hub.instead.get(file.name):
            data = self.hub.instead[file.name].pop(0)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            status, sent["Content-Range"] = 206, f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(status, sent, data[start:], file.name)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message}, body)

    def _send(self, status: int, headers: dict[str, str], body: bytes, name: str = "") -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._transfer(body, name)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _transfer(self, body: bytes, name: str) -> None:
        hub = self.hub
        if hub.cut_after.get(name):
            self.wfile.write(body[: hub.cut_after[name].pop(0)])
        elif name in hub.stall_after:
            self.wfile.write(body[: hub.stall_after[name]])
            self.wfile.flush()
            hub.release.wait(60)
            self.wfile.write(body[hub.stall_after[name] :])
        else:
            self.wfile.write(body)
