"""Fetching of releases from a host on this machine that can be told to misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from milannotations import data_home
from milannotations.catalog import releases
from milannotations.download import transfer
from milannotations.download.commands import app
from milannotations.download.transfer import adopt, fetch
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.worlds.release import write_release

CONFIG = "alexnet-imagenet"


def _zip(seed: int = 0, size: int = 100_000) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("annotations.csv", np.random.default_rng(seed).bytes(size))
    return file.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Host:
    """What a host serves, how it misbehaves, and what it saw."""

    url: str = ""
    body: bytes = field(default_factory=_zip)
    etag: str | None = '"one"'
    date: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    shift: int = 0  # parts begin so many bytes later than asked
    chunked: bool = False
    content_type: str = "application/zip"
    headers: dict[str, str] = field(default_factory=dict)
    # One entry for each request to come: break off after so many bytes.
    cuts: list[int] = field(default_factory=list)
    # One entry for each request to come: answer with this status, or None for the file.
    statuses: list[int | None] = field(default_factory=list)
    status: int | None = None
    location: str = ""
    seen: list[SimpleNamespace] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        condition = request.headers.get("If-Range")
        entry = SimpleNamespace(path=request.path, range=asked, condition=condition, sent=0)
        self.seen.append(entry)
        status = (self.statuses.pop(0) if self.statuses else None) or self.status
        if status:
            request.send_response(status)
            request.send_header("Location", self.location)
            request.send_header("Content-Length", "0")
            request.send_header("Connection", "close")
            request.end_headers()
            return
        start, headers = 0, {"Content-Type": self.content_type}
        current = condition in (None, self.etag, self.date) or not self.heeds_if_range
        if asked and self.ranges and current:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + self.shift
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
            if start >= len(self.body):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(self.body)}")
                request.send_header("Content-Length", "0")
                request.send_header("Connection", "close")
                request.end_headers()
                return
        content = self.body[start:] + b"x" * (self.shift if start else 0)
        length = {"Transfer-Encoding": "chunked"} if self.chunked else {}
        headers |= length or {"Content-Length": str(len(content))}
        headers |= {"ETag": self.etag} if self.etag else {}
        headers |= {"Last-Modified": self.date} if self.date else {}
        headers |= self.headers
        headers["Connection"] = "close"
        request.send_response(206 if asked and "Content-Range" in headers else 200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        content = content[: self.cuts.pop(0)] if self.cuts else content
        entry.sent = len(content)
        if self.chunked:
            end = b"\r\n0\r\n\r\n" if start + len(content) == len(self.body) else b""
            content = b"%x\r\n%s%s" % (len(self.body) - start, content, end)
        request.wfile.write(content)


@pytest.fixture
def serve() -> Iterator[type]:
    """Start hosts on free ports; call it with what a ``Host`` takes."""
    servers = []

    def start(**settings: object) -> Host:
        host = Host(**settings)  # type: ignore[arg-type]

        class Handler(BaseHTTPRequestHandler):
            # Each connection ends after one answer, so that short ones break off.
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                host.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        host.url = f"http://127.0.0.1:{server.server_port}"
        return host

    yield start  # type: ignore[misc]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def host(serve, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host of the authors."""
    host = serve()
    monkeypatch.setattr(releases, "HOST", f"{host.url}/data")
    return host


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path))
    monkeypatch.delenv("MILANNOTATIONS_MIRRORS", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    # A port that nothing listens on, in place of a host that tests must not ask.
    monkeypatch.setattr(releases, "HOST", "http://127.0.0.1:9/data")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    return tmp_path


def _names() -> set[str]:
    """Files in the folder of downloads, without locks."""
    return {path.name for path in data_home.downloads().iterdir() if not path.name.startswith(".")}


def _checksums() -> dict[str, dict[str, object]]:
    return json.loads((data_home.downloads() / "checksums.json").read_text())


def _interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Press Ctrl-C when so many bytes have been received."""
    update = Progress.update

    def pressed(self, task, **values: object) -> None:
        update(self, task, **values)
        if values.get("completed", 0) >= after:  # type: ignore[operator]
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", pressed)
        with pytest.raises(KeyboardInterrupt):
            fetch(CONFIG)


def test_a_whole_zip_is_kept_recorded_and_used_without_network(host: Host) -> None:
    path = fetch("alexnet/imagenet")
    assert path == data_home.downloads() / f"{CONFIG}.zip"
    assert path.read_bytes() == host.body
    assert _names() == {path.name, "checksums.json"}
    entry = _checksums()[CONFIG]
    assert entry["sha256"] == _sha256(host.body)
    assert entry["size"] == len(host.body)
    assert entry["url"] == f"{host.url}/data/{CONFIG}.zip"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", str(entry["date"]))
    assert [one.path for one in host.seen] == [f"/data/{CONFIG}.zip"]
    before = (data_home.downloads() / "checksums.json").read_bytes()
    assert fetch(CONFIG) == path
    assert len(host.seen) == 1
    assert (data_home.downloads() / "checksums.json").read_bytes() == before


def test_ctrl_c_leaves_a_part_that_is_gone_on_with(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after=40_000)
    assert _names() == {f"{CONFIG}.zip.partial", f"{CONFIG}.zip.partial.json"}
    partial_file = data_home.downloads() / f"{CONFIG}.zip.partial"
    assert partial_file.read_bytes() == host.body[:40_000]
    assert json.loads(Path(f"{partial_file}.json").read_text()) == {
        "url": f"{host.url}/data/{CONFIG}.zip",
        "etag": '"one"',
        "last_modified": None,
        "total": len(host.body),
    }
    assert fetch(CONFIG).read_bytes() == host.body
    assert host.seen[1].range == "bytes=40000-"
    assert host.seen[1].condition == '"one"'
    assert host.seen[1].sent == len(host.body) - 40_000
    assert _names() == {f"{CONFIG}.zip", "checksums.json"}


@pytest.mark.parametrize("chunked", [False, True])
def test_breaks_are_gone_on_after(host: Host, chunked: bool) -> None:
    host.chunked, host.cuts = chunked, [30_000, 0, 20_000, 0, 1000]
    host.date, host.etag = "Mon, 01 Aug 2022 10:00:00 GMT", 'W/"weak"'
    assert fetch(CONFIG).read_bytes() == host.body
    asked = [None, *(f"bytes={n}-" for n in (30_000, 30_000, 50_000, 50_000, 51_000))]
    assert [one.range for one in host.seen] == asked
    assert {one.condition for one in host.seen[1:]} == {host.date}
    assert sum(one.sent for one in host.seen) == len(host.body)


def test_a_passing_outage_during_a_transfer_is_waited_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(transfer, "BACKOFF_S", 1.0)
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    host.cuts, host.statuses = [5000], [None, 503, 503, None]
    assert fetch(CONFIG).read_bytes() == host.body
    assert [one.range for one in host.seen[1:]] == ["bytes=5000-"] * 3
    assert waited == [0, 1, 2, 4]


def test_a_host_that_never_gets_further_is_given_up_and_the_part_kept(host: Host) -> None:
    host.cuts = [5000, *[0] * 50]
    with pytest.raises(InputError, match=r"(?s)4 times without getting further.*0\.0 MB of it are"):
        fetch(CONFIG)
    assert len(host.seen) == 5
    assert (data_home.downloads() / f"{CONFIG}.zip.partial").stat().st_size == 5000


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"two"'},
        {"etag": '"two"', "heeds_if_range": False},
        {"ranges": False},
        {"body": _zip(1, 20_000), "heeds_if_range": False},  # shorter: 416
        {"body": _zip(1, 150_000), "heeds_if_range": False},  # longer: another total
        {"etag": '"one"', "shift": 1},
        {"etag": '"one"', "headers": {"Content-Range": "bytes */7"}},
    ],
)
def test_a_part_of_another_file_is_not_gone_on_with(
    host: Host, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    _interrupt(monkeypatch, after=40_000)
    host.body = _zip(1)
    for name, value in change.items():
        setattr(host, name, value)
    assert fetch(CONFIG).read_bytes() == host.body
    assert host.seen[1].range == "bytes=40000-"


def test_a_part_that_was_not_asked_for_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after=40_000)
    host.statuses = [416, 206]
    with pytest.raises(InputError, match="answers 206 Partial Content"):
        fetch(CONFIG)
    assert [one.range for one in host.seen] == [None, "bytes=40000-", None]
    assert (data_home.downloads() / f"{CONFIG}.zip.partial").stat().st_size == 40_000


def test_without_anything_to_tell_versions_apart_it_begins_anew(host: Host) -> None:
    host.etag, host.cuts = 'W/"weak"', [30_000]
    assert fetch(CONFIG).read_bytes() == host.body
    assert [one.range for one in host.seen] == [None, None]


def test_a_damaged_description_of_the_part_means_beginning_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after=40_000)
    (data_home.downloads() / f"{CONFIG}.zip.partial.json").write_text('{"url": 1')
    assert fetch(CONFIG).read_bytes() == host.body
    assert host.seen[1].range is None


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("off", [-1, 1, 5000])
def test_a_size_that_is_not_the_announced_is_never_a_whole_file(
    host: Host, off: int, chunked: bool
) -> None:
    host.chunked = chunked  # the length is then no more than a claim
    host.headers = {"Content-Length": str(len(host.body) + off)}
    with pytest.raises(InputError, match=r"no whole zip|without getting further|sent more"):
        fetch(CONFIG)
    assert not (data_home.downloads() / f"{CONFIG}.zip").exists()
    assert not (data_home.downloads() / "checksums.json").exists()


def test_more_than_announced_is_refused(host: Host) -> None:
    host.chunked, host.headers = True, {"Content-Length": str(len(host.body) - 5000)}
    with pytest.raises(InputError, match=f"sent more than the {len(host.body) - 5000} bytes"):
        fetch(CONFIG)
    assert _names() == set()


def test_a_zip_of_unknown_size_is_taken_within_the_limit(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.chunked = True
    assert fetch(CONFIG).read_bytes() == host.body
    monkeypatch.setattr(transfer, "MAX_BYTES", 50_000)
    counts: list[int] = []
    monkeypatch.setattr(
        Progress, "update", lambda self, task, completed, total: counts.append(completed)
    )
    with pytest.raises(InputError, match="sent more than the 50000 bytes"):
        fetch(CONFIG, force=True)
    assert max(counts) == 50_000
    host.chunked = False
    with pytest.raises(InputError, match=f"announces {len(host.body)} bytes; at most 50000"):
        fetch(CONFIG, force=True)
    assert (data_home.downloads() / f"{CONFIG}.zip").read_bytes() == host.body


def test_room_is_checked_before_the_transfer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: SimpleNamespace(free=50_000))
    with pytest.raises(InputError, match=r"room for 0.00 GB.*MILANNOTATIONS_HOME"):
        fetch(CONFIG)
    assert _names() == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_fills_up_is_named(host: Host) -> None:
    data_home.make_folder(data_home.downloads())
    (data_home.downloads() / f"{CONFIG}.zip.partial").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"no room to write .*disk is full.*is kept"):
        fetch(CONFIG)


def test_mirrors_are_asked_in_order_and_then_the_authors(
    serve, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = serve(status=404), serve(status=500)
    monkeypatch.setenv("MILANNOTATIONS_MIRRORS", f" {first.url}/a/,, {second.url} ")
    assert fetch(CONFIG).read_bytes() == host.body
    assert [len(one.seen) for one in (first, second, host)] == [1, 1, 1]
    assert first.seen[0].path == f"/a/{CONFIG}.zip"
    second.status = None
    fetch(CONFIG, force=True)
    assert [len(one.seen) for one in (first, second, host)] == [2, 2, 1]
    fetch(CONFIG, mirrors=[], force=True)
    assert [len(one.seen) for one in (first, second, host)] == [2, 2, 2]


def test_a_part_is_gone_on_with_from_its_own_host_first(
    serve, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after=40_000)
    mirror = serve()
    assert fetch(CONFIG, mirrors=[mirror.url]).read_bytes() == host.body
    assert mirror.seen == []
    assert host.seen[1].range == "bytes=40000-"


def test_a_part_is_not_gone_on_with_from_another_host(
    serve, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt(monkeypatch, after=40_000)
    host.status, mirror = 503, serve(body=_zip(2))
    assert fetch(CONFIG, mirrors=[mirror.url]).read_bytes() == mirror.body
    assert mirror.seen[0].range is None


def test_dead_hosts_are_all_named_with_what_to_do(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = socket.getaddrinfo

    def resolve(name: str, *arguments: object, **options: object) -> object:
        if name.endswith(".invalid"):
            raise socket.gaierror(-2, "Name or service not known")
        return ask(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    gone, broken = serve(status=404), serve(status=503)
    secret = broken.url.replace("//", "//user:password@")
    with pytest.raises(InputError) as caught:
        fetch(CONFIG, mirrors=[gone.url, secret, "http://no-such-host.invalid"])
    said = str(caught.value)
    assert f"{gone.url}/{CONFIG}.zip: answers 404 Not Found" in said
    assert f"{broken.url}/{CONFIG}.zip: answers 503 Service Unavailable" in said
    assert re.search(r"no-such-host.invalid/[\w.-]+: .*Name or service not known", said)
    assert re.search(r"127.0.0.1:9/data/[\w.-]+: .*[Rr]efused", said)
    assert "password" not in said
    assert "MILANNOTATIONS_MIRRORS" in said
    assert f"milannotations download {CONFIG} --from-zip PATH" in said
    assert [len(one.seen) for one in (gone, broken)] == [1, 1]
    assert _names() == set()


@pytest.mark.parametrize("mirror", ["ftp://host/x", "host", "http://", "http://[x", "http://h/?a"])
def test_mirrors_that_are_no_web_addresses_are_refused(host: Host, mirror: str) -> None:
    with pytest.raises(InputError, match=f"{re.escape(repr(mirror))}.*MILANNOTATIONS_MIRRORS"):
        fetch(CONFIG, mirrors=[mirror])
    assert host.seen == []


def test_a_silent_host_is_given_up(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "READ_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=r"no answer within 0.05 s"):
            fetch(CONFIG, mirrors=[address])


def test_redirections_are_followed_on_the_web_only(serve, tmp_path: Path) -> None:
    secret = tmp_path / "local.zip"
    secret.write_bytes(_zip())
    to_file = serve(status=302, location=secret.as_uri())
    with pytest.raises(InputError, match=r"redirects to 'file://.*only http and https"):
        fetch(CONFIG, mirrors=[to_file.url])
    endless = serve(status=302, location="/again")
    with pytest.raises(InputError, match="redirects more than 10 times"):
        fetch(CONFIG, mirrors=[endless.url])
    assert len(endless.seen) == 11
    real = serve(cuts=[30_000])
    moved = serve(status=301, location=f"{real.url}/elsewhere.zip")
    assert fetch(CONFIG, mirrors=[moved.url]).read_bytes() == real.body
    assert [one.range for one in real.seen] == [None, "bytes=30000-"]
    assert _checksums()[CONFIG]["url"] == f"{moved.url}/{CONFIG}.zip"


def test_a_login_page_is_not_kept_and_costs_no_part(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = host.body
    _interrupt(monkeypatch, after=40_000)
    host.body, host.content_type, host.etag = b"<!doctype html>Please log in", "text/html", None
    with pytest.raises(InputError, match=r"no zip but 'text/html' that begins with b'<!doctype"):
        fetch(CONFIG)
    partial_file = data_home.downloads() / f"{CONFIG}.zip.partial"
    assert partial_file.read_bytes() == body[:40_000]
    assert not (data_home.downloads() / f"{CONFIG}.zip").exists()
    host.body, host.etag = body, '"one"'
    assert fetch(CONFIG).read_bytes() == body
    assert host.seen[-1].range == "bytes=40000-"


def test_a_file_that_only_begins_as_a_zip_is_not_kept(serve, host: Host) -> None:
    host.body = b"PK\x03\x04" + b"x" * 5000
    with pytest.raises(InputError, match="sent 5004 bytes that are no whole zip"):
        fetch(CONFIG)
    assert _names() == set()
    mirror = serve(body=b"")
    with pytest.raises(InputError, match="begins with b''"):
        fetch(CONFIG, mirrors=[mirror.url])


def test_compressed_answers_are_refused(host: Host) -> None:
    host.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(InputError, match="an encoding that was not asked for"):
        fetch(CONFIG)


def test_another_checksum_is_refused_until_forced(host: Host) -> None:
    old = host.body
    path = fetch(CONFIG)
    path.unlink()
    host.body = _zip(1)
    with pytest.raises(InputError) as caught:
        fetch(CONFIG)
    for partial_file in (
        _sha256(old),
        _sha256(host.body),
        f"{path}.partial",
        "--force",
        "checksums.json",
    ):
        assert partial_file in str(caught.value)
    assert not path.exists()
    assert _checksums()[CONFIG]["sha256"] == _sha256(old)
    assert fetch(CONFIG, force=True).read_bytes() == host.body
    assert _checksums()[CONFIG]["sha256"] == _sha256(host.body)
    assert len(host.seen) == 2  # what was refused was whole, and was not transferred again


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:50] + b"!" + b[51:]])
def test_a_damaged_zip_is_fetched_again(host: Host, damage) -> None:
    path = fetch(CONFIG)
    path.write_bytes(damage(path.read_bytes()))
    assert fetch(CONFIG).read_bytes() == host.body
    assert len(host.seen) == 2


def test_a_zip_put_there_by_hand_is_used(home: Path) -> None:
    data_home.make_folder(data_home.downloads())
    path = data_home.downloads() / f"{CONFIG}.zip"
    path.write_bytes(_zip(3))
    assert fetch(CONFIG) == path
    assert _checksums()[CONFIG]["sha256"] == _sha256(_zip(3))


def test_adopting_checks_and_records_without_copying(tmp_path: Path) -> None:
    mine = tmp_path / "mine.zip"
    mine.write_bytes(_zip())
    assert adopt("alexnet/imagenet", mine) == mine
    entry = _checksums()[CONFIG]
    assert (entry["sha256"], entry["url"]) == (_sha256(_zip()), mine.as_uri())
    assert _names() == {"checksums.json"}
    mine.write_bytes(_zip(1))
    with pytest.raises(
        InputError, match=f"(?s){mine}.*{_sha256(_zip(1))}.*{_sha256(_zip())}.*--force"
    ):
        adopt(CONFIG, mine)
    adopt(CONFIG, mine, force=True)
    assert _checksums()[CONFIG]["sha256"] == _sha256(_zip(1))
    mine.write_bytes(_zip()[:-1000])
    with pytest.raises(InputError, match="is no zip, or not a whole one"):
        adopt(CONFIG, mine)
    with pytest.raises(InputError, match="is no file"):
        adopt(CONFIG, tmp_path)


def test_a_damaged_file_of_checksums_is_named(host: Host) -> None:
    fetch(CONFIG)
    (data_home.downloads() / "checksums.json").write_text('{"alexnet-imagenet": {"sha256": "x"}}')
    with pytest.raises(InputError, match=r"checksums\.json.*; delete it"):
        fetch(CONFIG)


def test_a_second_process_is_refused(host: Host) -> None:
    data_home.make_folder(data_home.downloads())
    lock = data_home.downloads() / f".{CONFIG}.zip.lock"
    hold = (
        "import filelock, sys\n"
        f"with filelock.FileLock({str(lock)!r}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="is being written by another process"):
            fetch(CONFIG)
        other.communicate("")
    assert host.seen == []
    assert fetch(CONFIG).exists()


def test_an_unusable_home_is_named_before_anything_is_asked(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "file"))
        with pytest.raises(InputError, match=r"cannot be created.*MILANNOTATIONS_HOME"):
            fetch(CONFIG)
    # As root may write anywhere, the answer for a read-only folder is given in its place.
    monkeypatch.setattr(data_home.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="cannot be written; set MILANNOTATIONS_HOME"):
        fetch(CONFIG)
    assert host.seen == []


def test_names_without_a_published_zip_are_refused(host: Host) -> None:
    with pytest.raises(InputError, match="did you mean 'alexnet-imagenet'"):
        fetch("alexnet-imagnet")
    for name in ("base", "alexnet-imagenet-annotations"):
        with pytest.raises(InputError, match=f"no zip is published of '{name}'"):
            fetch(name)
    assert host.seen == []


def _command(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_command_fetches_the_zips_of_a_group_in_silence(host: Host) -> None:
    said = _command("gen", "--zip-only")
    names = [f"biggan-{data}.zip" for data in ("imagenet", "places365")]
    assert [one.path for one in host.seen] == [f"/data/{name}" for name in names]
    assert said.splitlines() == [
        f"{name.removesuffix('.zip')}: {data_home.downloads() / name}" for name in names
    ]
    assert not (data_home.home() / "configs").exists()


def test_command_imports_what_it_fetched_or_was_given(host: Host, tmp_path: Path) -> None:
    host.body = _release(tmp_path)
    said = _command(CONFIG)
    folder = data_home.config_folder(CONFIG)
    assert f"{CONFIG}: 3 neurons in 1 layers: {folder}" in said
    assert "differs from what was published" in said
    assert f"attach-images {CONFIG} --source FOLDER" in said
    assert len(load_split(folder)) == 3
    assert CONFIG in json.loads((data_home.home() / "fingerprints.json").read_text())
    assert "is there already; pass --force" in _command(CONFIG)
    assert len(host.seen) == 1
    (folder / "mark").write_text("")
    _command(CONFIG, "--force")
    assert not (folder / "mark").exists()
    assert len(host.seen) == 2
    zipped = data_home.downloads() / f"{CONFIG}.zip"
    mine = zipped.rename(tmp_path / "mine.zip")
    there = tmp_path / "below" / "it"
    said = _command(CONFIG, "--from-zip", mine, "--out", there)
    assert f"attach-images {there} --source FOLDER" in said
    assert len(load_split(there)) == 3
    assert len(host.seen) == 2


def _release(tmp_path: Path) -> bytes:
    """Return the zip of a small release."""
    write_release(tmp_path / "made", {"conv1": 3}, k=2, size=8, images=False)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted((tmp_path / "made").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "made").as_posix())
    return made.getvalue()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["gen", "--from-zip", "x.zip"], "--from-zip is for one config, but gen has 2: biggan-im"),
        (["gen", "--out", "x"], "--out is for one config"),
        ([CONFIG, "--zip-only", "--out", "x"], "--zip-only writes no folder"),
        ([CONFIG, "--from-zip", "none.zip"], "none.zip is no file"),
        ([CONFIG, "--out", __file__], "is a file; name a folder"),
        ([CONFIG, "--out", f"{__file__}/below/it"], "cannot be created"),
        (["alexnet-imagnet"], "did you mean 'alexnet-imagenet'"),
    ],
)
def test_command_refuses_mistakes_before_it_asks_anyone(
    host: Host, arguments: list[str], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        _command(*arguments)
    assert host.seen == []
