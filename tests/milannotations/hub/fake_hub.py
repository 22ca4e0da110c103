"""A hub on this machine, for tests: as much of its HTTP interface as pushing and loading use."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "fake"
Files = dict[str, bytes]


@dataclass
class FakeRepo:
    """A dataset repository: every commit is a whole set of files."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: Files) -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        return oid

    @property
    def files(self) -> Files:
        return self.commits[self.branches["main"]]


class FakeHub(ThreadingHTTPServer):
    """The server; ``repos`` and ``requests`` (method and path) are there to be looked at.

    Spaces and models are kept under ``spaces/<id>`` and ``models/<id>``, data sets under their id.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, FakeRepo] = {}
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Refusal(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.requests.append((self.command, path))
            try:
                for method, pattern, action in _ROUTES:
                    match = re.fullmatch(pattern, path)
                    if match and self.command in method:
                        action(self, *(unquote(part or "") for part in match.groups()), body)
                        return
                raise _Refusal(404, message=f"no such route: {path}")
            except _Refusal as refusal:
                headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
                self._send(refusal.status, b'{"error": "refused"}', headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode())

    def _may_write(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refusal(401, message="Invalid credentials in Authorization header")

    def _page(self, repo_id: str) -> str:
        if repo_id.startswith("models/"):
            return f"{self.server.url}/{repo_id.removeprefix('models/')}"
        return f"{self.server.url}/{'' if repo_id.startswith('spaces/') else 'datasets/'}{repo_id}"

    def _repo(self, repo_id: str) -> FakeRepo:
        repo = self.server.repos.get(repo_id)
        if repo is None:
            raise _Refusal(404, "RepoNotFound", "Repository not found")
        if repo.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refusal(401, "RepoNotFound", "Repository not found")
        return repo

    def _at(self, repo_id: str, revision: str) -> tuple[FakeRepo, str, Files]:
        repo = self._repo(repo_id)
        oid = repo.branches.get(revision or "main", revision)
        if oid not in repo.commits:
            raise _Refusal(404, "RevisionNotFound", "Invalid rev id")
        return repo, oid, repo.commits[oid]

    def create(self, body: bytes) -> None:
        self._may_write()
        asked = json.loads(body)
        if asked["type"] == "space" and asked.get("sdk") != "static":
            raise _Refusal(400, message="a Space needs an SDK")
        repo_id = place = f"{asked['organization'] or 'user'}/{asked['name']}"
        if asked["type"] != "dataset":
            repo_id = f"{asked['type']}s/{place}"
        answer = {"url": self._page(repo_id)}
        if repo_id in self.server.repos:
            self._json({**answer, "error": "You already created this dataset repo"}, 409)
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        self.server.repos[repo_id] = repo = FakeRepo(bool(private))
        first = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
        if asked["type"] == "space":
            first |= {"README.md": b"---\nsdk: static\n---\n", "index.html": b"<p>Hello"}
        repo.commit("main", first)
        self._json(answer)

    def validate_yaml(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        errors = [] if content.startswith("---\n") else [{"message": "no metadata"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def info(self, repo_id: str, revision: str, body: bytes) -> None:
        repo, oid, files = self._at(repo_id, revision)
        siblings = [{"rfilename": path} for path in files]
        facts = {"id": repo_id, "sha": oid, "private": repo.private, "siblings": siblings}
        self._json({**facts, "tags": [], "downloads": 0, "likes": 0, "gated": False})

    def tree(self, repo_id: str, revision: str, folder: str, body: bytes) -> None:
        _, _, files = self._at(repo_id, revision)
        deep = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
        entries = [
            entry
            for path, entry in _entries(files).items()
            if path.startswith(f"{folder}/" if folder else "")
            and (deep or "/" not in path.removeprefix(f"{folder}/"))
        ]
        if folder and not entries:
            raise _Refusal(404, "EntryNotFound", f"{folder} does not exist")
        self._json(entries)

    def paths_info(self, repo_id: str, revision: str, body: bytes) -> None:
        _, _, files = self._at(repo_id, revision)
        if self.headers["Content-Type"].startswith("application/json"):
            paths = json.loads(body)["paths"]
        else:
            paths = parse_qs(body.decode())["paths"]
        entries = _entries(files)
        self._json([entries[path] for path in paths if path in entries])

    def branch(self, repo_id: str, name: str, body: bytes) -> None:
        self._may_write()
        repo = self._repo(repo_id)
        if name in repo.branches:
            raise _Refusal(409, message="Reference already exists")
        repo.branches[name] = repo.branches["main"]
        self._json({})

    def preupload(self, repo_id: str, revision: str, body: bytes) -> None:
        self._may_write()
        _, _, files = self._at(repo_id, revision)
        entries = _entries(files)
        answers = [
            {
                "path": file["path"],
                "uploadMode": "regular",
                "shouldIgnore": False,
                "oid": entries[file["path"]]["oid"] if file["path"] in entries else None,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": answers})

    def commit(self, repo_id: str, revision: str, body: bytes) -> None:
        self._may_write()
        repo, oid, present = self._at(repo_id, revision)
        files = dict(present)
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                if value.get("parentCommit") not in (None, oid):
                    raise _Refusal(412, message="A commit has happened since")
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise _Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
            else:
                raise _Refusal(400, message=f"unexpected {item['key']}")
        proposed = "create_pr" in parse_qs(urlsplit(self.path).query)
        made = repo.commit("refs/pr/1" if proposed else revision, files)
        url = f"{self._page(repo_id)}/commit/{made}"
        answer = {"commitUrl": url, "commitOid": made, "success": True}
        if proposed:
            answer["pullRequestUrl"] = f"{self._page(repo_id)}/discussions/1"
        self._json(answer)

    def resolve(self, repo_id: str, revision: str, path: str, body: bytes) -> None:
        _, oid, files = self._at(repo_id, revision)
        headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if path not in files:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
            return
        data = files[path]
        headers |= {"Content-Type": "application/octet-stream", "ETag": f'"{_git_oid(data)}"'}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, data, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._send(206, data[first : last + 1], headers)


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entries(files: Files) -> dict[str, dict[str, Any]]:
    """Return all files and folders as the hub lists them, by path."""
    entries: dict[str, dict[str, Any]] = {}
    for path, data in sorted(files.items()):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            oid = hashlib.sha1(folder.encode()).hexdigest()
            entries[folder] = {"type": "directory", "path": folder, "oid": oid, "size": 0}
        entries[path] = {"type": "file", "path": path, "oid": _git_oid(data), "size": len(data)}
    return entries


# A data set is told by its id alone, a Space or model with its kind before it.
_API = r"/api/(?:datasets/)?((?:spaces/|models/)?(?!datasets/)[^/]+/[^/]+)"
_PAGE = r"/(?:datasets/)?((?:spaces/)?[^/]+/[^/]+)"
_ROUTES = (
    (("POST",), r"/api/repos/create", _Handler.create),
    (("POST",), r"/api/validate-yaml", _Handler.validate_yaml),
    (("GET",), rf"{_API}(?:/revision/([^/]+))?", _Handler.info),
    (("GET",), rf"{_API}/tree/([^/]+)(?:/(.+))?", _Handler.tree),
    (("POST",), rf"{_API}/paths-info/([^/]+)", _Handler.paths_info),
    (("POST",), rf"{_API}/branch/([^/]+)", _Handler.branch),
    (("POST",), rf"{_API}/preupload/([^/]+)", _Handler.preupload),
    (("POST",), rf"{_API}/commit/([^/]+)", _Handler.commit),
    (
        ("GET", "HEAD"),
        rf"{_PAGE}/resolve/([^/]+)/(.+)",
        _Handler.resolve,
    ),
)
