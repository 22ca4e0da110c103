"""Checksums of whole zips.

The authors publish no checksums, so the first complete zip of a config sets the SHA-256 that later
ones, from any host, must match. It is kept in ``checksums.json`` in the folder of downloads.
"""

from __future__ import annotations

import hashlib
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from rich.progress import Progress

from milannotations.catalog.releases import RELEASES, Release, canonical
from milannotations.data_home import downloads, make_folder
from milannotations.errors import InputError, did_you_mean, wrong_fields
from milannotations.json_files import read_json
from milannotations.progress import byte_bar
from milannotations.reading import is_there
from milannotations.storage import atomic_path, locked

_CHUNK = 2**20


class Checksum(BaseModel):
    """What is known about a config's zip.

    Attributes:
        sha256: 64 hex digits.
        size: Bytes.
        url: Where it came from; a ``file:`` URL for a zip that the user already had.
        date: When it was recorded, in UTC, as ISO 8601.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    url: str
    date: str


_Table = TypeAdapter(dict[str, Checksum])


def published(config: str) -> Release:
    """Return the release of a config.

    Raises:
        InputError: If no config has that name; similar names are suggested.
    """
    name = canonical(config)
    if name not in RELEASES:
        hint = did_you_mean(name, RELEASES)
        raise InputError(f"no zip is published of {config!r}{hint} (but of {', '.join(RELEASES)})")
    return RELEASES[name]


def adopt(config: str, zip_path: Path, *, force: bool = False) -> Path:
    """Accept a zip that the user has as that of a config: it is checked, not copied.

    Args:
        config: ``alexnet-imagenet`` and so on.
        zip_path: The zip.
        force: Record its checksum in place of another one.

    Returns:
        ``zip_path``.

    Raises:
        InputError: If it is not a zip, or its checksum is not the recorded one.
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
    """Say whether an existing zip matches its recorded checksum; record a config's first zip.

    Raises:
        InputError: If the checksum file is damaged.
    """
    recorded = _read().get(config)
    if recorded:
        return recorded.size == target.stat().st_size and recorded.sha256 == _sha256(target, bar)
    if not zipfile.is_zipfile(target):
        return False
    settle(config, target, target.resolve().as_uri(), bar, force=False, way_out="")
    return True


def settle(config: str, path: Path, url: str, bar: Progress, *, force: bool, way_out: str) -> None:
    """Record the checksum of a config's zip, or compare it with the one recorded before.

    Args:
        config: Name of the config.
        path: The zip, which is complete.
        url: Where it came from.
        bar: Shows how much of it has been read.
        force: Record it in place of another checksum.
        way_out: End of the error message: what to do.

    Raises:
        InputError: If another checksum is recorded and ``force`` is not set.
    """
    make_folder(downloads())
    digest = _sha256(path, bar)
    with locked(_place(), wait=True):
        table = _read()
        recorded = table.get(config)
        if recorded and recorded.sha256 == digest:
            return
        if recorded and not force:
            raise InputError(
                f"{path} is not the {_kind(config)} that was had before: its SHA-256 is {digest}, "
                f"but {recorded.sha256} was recorded on {recorded.date} for {recorded.url} "
                f"(see {_place()})."
                f" The release has changed, or this is a damaged or another file. {way_out}"
            )
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        size = path.stat().st_size
        table[config] = Checksum(sha256=digest, size=size, url=url, date=now)
        with atomic_path(_place()) as temporary:
            temporary.write_bytes(_Table.dump_json(table, indent=1) + b"\n")


def recorded(name: str) -> Checksum | None:
    """Return what is recorded about a file, by its name; None if nothing is.

    Raises:
        InputError: If the checksum file is damaged.
    """
    return _read().get(name)


def _kind(name: str) -> str:
    return f"zip of {name}" if name in RELEASES else f"file {name}"


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
    remedy = "delete it, and checksums are recorded anew"
    if not is_there(_place()):
        return {}
    plain = read_json(_place(), dict, remedy=remedy)
    try:
        return _Table.validate_python(plain)
    except ValidationError as error:
        raise InputError(f"{_place()}: {wrong_fields(error, 'table')}; {remedy}") from error
