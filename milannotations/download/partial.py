"""Parts of zips on disk, with a record of their origin, so that a transfer can be resumed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, Field

from milannotations.data_home import HOME_VARIABLE
from milannotations.errors import InputError
from milannotations.json_files import read_model
from milannotations.notices import notify
from milannotations.reading import is_there
from milannotations.storage import atomic_path, explained, locked

_STRONG_ETAG = r'^"[\x21\x23-\x7e]*"$'
_DATE = r"^[\x20-\x7e]+$"


class Origin(BaseModel):
    """What a partial file is part of.

    Attributes:
        url: Where it comes from.
        etag: Strong ETag from the host, if any.
        last_modified: Date from the host, if any.
        total: Size of the whole file in bytes, if the host stated it.
    """

    url: str
    etag: str | None = Field(default=None, pattern=_STRONG_ETAG)
    last_modified: str | None = Field(default=None, pattern=_DATE)
    total: int | None = Field(default=None, ge=0)

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], total: int | None) -> Origin:
        """Return the origin of a file that was sent with these headers."""
        etag, date = headers.get("ETag", ""), headers.get("Last-Modified", "")
        return cls(
            url=url,
            etag=etag if re.fullmatch(_STRONG_ETAG, etag) else None,
            last_modified=date if re.fullmatch(_DATE, date) else None,
            total=total,
        )

    @property
    def validator(self) -> tuple[str, str] | None:
        """Header that distinguishes versions of the file, and its value."""
        if self.etag:
            return "ETag", self.etag
        return ("Last-Modified", self.last_modified) if self.last_modified else None


class Partial:
    """Part of a zip, ``<config>.zip.partial``, with its origin in a ``.json`` beside it."""

    def __init__(self, target: Path) -> None:
        self.data = target.with_name(f"{target.name}.partial")
        self._origin = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.data.stat().st_size if self.data.is_file() else 0

    @property
    def origin(self) -> Origin | None:
        """What it is part of; None if no origin is recorded, or not a reliable one."""
        try:
            return read_model(self._origin, Origin) if is_there(self._origin) else None
        except InputError as error:
            notify(f"{error}; the download begins anew")
            return None

    def is_whole(self) -> bool:
        """Say whether the file is complete."""
        origin = self.origin
        return origin is not None and origin.total == self.size and zipfile.is_zipfile(self.data)

    def begin(self, origin: Origin) -> None:
        """Discard what is here, and start a file with another origin."""
        # Emptied first: old bytes must never be paired with a new origin.
        self.data.write_bytes(b"")
        with atomic_path(self._origin) as path:
            path.write_text(origin.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Give the complete file its final name."""
        self.data.replace(target)
        self._origin.unlink(missing_ok=True)

    def discard(self) -> None:
        """Discard what is here."""
        self.data.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep other processes from fetching the same zip.

    Raises:
        InputError: If another process is fetching it, or the disk is full or cannot be written.
    """
    try:
        with locked(target):
            yield
    except OSError as error:
        sentence = explained(error, target) or f"{target} cannot be written: {error}"
        raise InputError(
            f"{sentence}. What was received is kept; {HOME_VARIABLE} may name another folder"
        ) from error
