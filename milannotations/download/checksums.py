"""The zips on disk: whole ones, which have a checksum, and parts, which say what they are of.

The authors publish no checksums, so the first complete zip of a config sets the SHA-256 that
later ones, from whatever host, are held to: ``checksums.json`` in the folder of downloads.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from milannotations.catalog.releases import RELEASES, Release, canonical
from milannotations.errors import InputError, did_you_mean
from milannotations.storage import atomic_path
from milannotations.store import HOME_VARIABLE, downloads, make_folder

_STRONG_ETAG = r'^"[\x21\x23-\x7e]*"$'
_DATE = r"^[\x20-\x7e]+$"
_CHUNK = 2**20


class Checksum(BaseModel):
    """What is known of a config's zip.

    Attributes:
        sha256: 64 hex digits.
        size: Bytes.
        url: Where it came from; ``file:`` for one that the user had.
        date: When it was recorded, in UTC, as ISO 8601.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    url: str
    date: str


_Table = TypeAdapter(dict[str, Checksum])


class Origin(BaseModel):
    """What a partial file is a part of.

    Attributes:
        url: Where it comes from.
        etag: Strong ETag that the host gave, if any.
        last_modified: Date that the host gave, if any.
        total: Bytes of the whole, if the host told.
    """

    url: str
    etag: str | None = Field(default=None, pattern=_STRONG_ETAG)
    last_modified: str | None = Field(default=None, pattern=_DATE)
    total: int | None = Field(default=None, ge=0)

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], total: int | None) -> Origin:
        """Return the origin of a file that comes with these headers."""
        etag, date = headers.get("ETag", ""), headers.get("Last-Modified", "")
        return cls(
            url=url,
            etag=etag if re.fullmatch(_STRONG_ETAG, etag) else None,
            last_modified=date if re.fullmatch(_DATE, date) else None,
            total=total,
        )

    @property
    def validator(self) -> tuple[str, str] | None:
        """Header that tells one version of the file from another, and its value."""
        if self.etag:
            return "ETag", self.etag
        return ("Last-Modified", self.last_modified) if self.last_modified else None


class Partial:
    """A part of a zip, ``<config>.zip.partial``, and its origin in a ``.json`` beside it."""

    def __init__(self, target: Path) -> None:
        self.data = target.with_name(f"{target.name}.partial")
        self._origin = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.data.stat().st_size if self.data.is_file() else 0

    @property
    def origin(self) -> Origin | None:
        """What it is a part of; None if there is none, or one that cannot be relied on."""
        try:
            return Origin.model_validate_json(self._origin.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def is_whole(self) -> bool:
        """Say whether nothing is missing."""
        origin = self.origin
        return origin is not None and origin.total == self.size and zipfile.is_zipfile(self.data)

    def begin(self, origin: Origin) -> None:
        """Throw away what is here, and begin a part of something else."""
        # Emptied first: old bytes must never stand beside a new origin.
        self.data.write_bytes(b"")
        with atomic_path(self._origin) as path:
            path.write_text(origin.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Give the whole file its name."""
        self.data.replace(target)
        self._origin.unlink(missing_ok=True)

    def discard(self) -> None:
        """Throw away what is here."""
        self.data.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)


def published(config: str) -> Release:
    """Return the release of a config.

    Raises:
        InputError: If there is none of that name; near names are suggested.
    """
    name = canonical(config)
    if name not in RELEASES:
        hint = did_you_mean(name, RELEASES)
        raise InputError(f"no zip is published of {config!r}{hint} (but of {', '.join(RELEASES)})")
    return RELEASES[name]


def adopt(config: str, zip_path: Path, *, force: bool = False) -> Path:
    """Take a zip that the user has for the one of a config: it is checked, not copied.

    Args:
        config: ``alexnet-imagenet`` and so on.
        zip_path: The zip.
        force: Record its checksum in place of another.

    Returns:
        ``zip_path``.

    Raises:
        InputError: If it is no zip, or its checksum is not the recorded one.
    """
    name = published(config).name
    if not zip_path.is_file():
        raise InputError(f"{zip_path} is no file; name the zip of {name}")
    if not zipfile.is_zipfile(zip_path):
        raise InputError(f"{zip_path} is no zip, or not a whole one; name the zip of {name}")
    try:
        with byte_bar() as bar:
            way_out = "Pass --force to take it"
            settle(name, zip_path, zip_path.resolve().as_uri(), bar, force=force, way_out=way_out)
    except OSError as error:
        raise InputError(f"{zip_path} cannot be read, or its checksum kept: {error}") from error
    return zip_path


def is_good(config: str, target: Path, bar: Progress) -> bool:
    """Say whether a zip that is there is the recorded one; record the first of its config.

    Raises:
        InputError: If the file of checksums is damaged.
    """
    known = _read().get(config)
    if known:
        return known.size == target.stat().st_size and known.sha256 == _sha256(target, bar)
    if not zipfile.is_zipfile(target):
        return False
    settle(config, target, target.resolve().as_uri(), bar, force=False, way_out="")
    return True


def settle(config: str, path: Path, url: str, bar: Progress, *, force: bool, way_out: str) -> None:
    """Record the checksum of a config's zip, or compare it with the one recorded before.

    Args:
        config: Its name.
        path: The zip, which is whole.
        url: Where it came from.
        bar: Shows how much of it has been read.
        force: Record it in place of another.
        way_out: Ends the message of the error: what to do.

    Raises:
        InputError: If another checksum is recorded and ``force`` is not set.
    """
    make_folder(downloads())
    digest = _sha256(path, bar)
    with FileLock(downloads() / ".checksums.json.lock"):
        table = _read()
        known = table.get(config)
        if known and known.sha256 == digest:
            return
        if known and not force:
            raise InputError(
                f"{path} is not the zip of {config} that was had before: its SHA-256 is {digest}, "
                f"but {known.sha256} was recorded on {known.date} for {known.url} (see {_place()})."
                f" The release has changed, or this is a damaged or another file. {way_out}"
            )
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        size = path.stat().st_size
        table[config] = Checksum(sha256=digest, size=size, url=url, date=now)
        with atomic_path(_place()) as temporary:
            temporary.write_bytes(_Table.dump_json(table, indent=1) + b"\n")


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep other processes from fetching the same zip.

    Raises:
        InputError: If one is fetching it, or the disk is full or cannot be written.
    """
    try:
        with FileLock(target.with_name(f".{target.name}.lock")).acquire(timeout=0):
            yield
    except Timeout:
        raise InputError(f"{target} is being fetched by another process; wait for it") from None
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error}. What was received is kept: mend that, or set "
            f"{HOME_VARIABLE} to another folder, and run the same command again"
        ) from error


def byte_bar() -> Progress:
    """Return a progress bar that counts bytes; silent where there is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _sha256(path: Path, bar: Progress) -> str:
    task = bar.add_task(f"Checking {path.name}", total=path.stat().st_size)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            bar.advance(task, len(piece))
    return digest.hexdigest()


def _place() -> Path:
    return downloads() / "checksums.json"


def _read() -> dict[str, Checksum]:
    try:
        return _Table.validate_json(_place().read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise InputError(
            f"{_place()} is damaged; delete it, and checksums are recorded anew ({error})"
        ) from error
