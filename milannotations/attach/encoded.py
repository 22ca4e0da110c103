"""Encoded images on disk, each stored once, in two files that survive an interruption."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np

_ENTRY = np.dtype([("image_id", "<i8"), ("width", "<i4"), ("height", "<i4"), ("length", "<i8")])
# Neighbouring units share images: those read last are returned again as the same object, which
# saves reading them and lets a row group hold them once.
_RECENT_BYTES = 32 * 2**20


class ImageKey(NamedTuple):
    """Key of a stored image: the source image's index, and the exemplar's size in pixels."""

    image_id: int
    width: int
    height: int


class EncodedImages:
    """Images by key: the bytes are appended to one file, their keys and lengths to an index file.

    An entry is added to the index only after its bytes are safely on disk. Opening truncates what
    an interruption left: bytes without an entry, incomplete entries, and entries without bytes.

    Args:
        folder: The folder of the two files.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / "images.bytes", folder / "images.index")
        self._places: dict[ImageKey, tuple[int, int]] = {}
        self._recent: OrderedDict[ImageKey, bytes] = OrderedDict()
        self._recent_bytes = 0
        for path in self._paths:
            path.touch()
        self._bytes, self._index = (path.open("r+b") for path in self._paths)
        self._end = 0
        self._recover()

    def __enter__(self) -> EncodedImages:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bytes.close()
        self._index.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: ImageKey) -> bool:
        return key in self._places

    @contextmanager
    def adding(self) -> Iterator[list[tuple[ImageKey, bytes]]]:
        """Yield a list to append images to; they are stored at the end, even after an exception."""
        batch: list[tuple[ImageKey, bytes]] = []
        try:
            yield batch
        finally:
            self._store(batch)

    def read(self, key: ImageKey) -> bytes:
        """Return an image; not thread-safe.

        Raises:
            KeyError: If it is not stored.
        """
        if key in self._recent:
            self._recent.move_to_end(key)
            return self._recent[key]
        offset, length = self._places[key]
        self._bytes.seek(offset)
        image = self._recent[key] = self._bytes.read(length)
        self._recent_bytes += length
        while self._recent_bytes > _RECENT_BYTES and len(self._recent) > 1:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])
        return image

    def remove(self) -> None:
        """Delete both files, the index first, so that it never names bytes that do not exist."""
        self._index.close()
        self._bytes.close()
        for path in reversed(self._paths):
            path.unlink()

    def _store(self, batch: list[tuple[ImageKey, bytes]]) -> None:
        self._bytes.seek(self._end)
        for _, image in batch:
            self._bytes.write(image)
        _flush(self._bytes)
        entries = np.array([(*key, len(image)) for key, image in batch], dtype=_ENTRY)
        self._index.write(entries.tobytes())
        _flush(self._index)
        for key, image in batch:
            self._places[key] = (self._end, len(image))
            self._end += len(image)

    def _recover(self) -> None:
        size = os.fstat(self._bytes.fileno()).st_size
        data = self._index.read()
        entries = np.frombuffer(data[: len(data) - len(data) % _ENTRY.itemsize], dtype=_ENTRY)
        for image_id, width, height, length in entries.tolist():
            if length <= 0 or self._end + length > size:
                break
            self._places[ImageKey(image_id, width, height)] = (self._end, length)
            self._end += length
        whole = len(self._places) * _ENTRY.itemsize
        for file, end in ((self._index, whole), (self._bytes, self._end)):
            file.truncate(end)
            file.seek(end)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
