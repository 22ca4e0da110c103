"""Arrays in a release's ``.npy`` files, read row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from milannotations.arrays import read_header
from milannotations.errors import InputError
from milannotations.release.archive import Files
from milannotations.zips import zip_errors

_MAX_ROW_BYTES = 2**30  # a row is held in memory; a unit's images take about 2 MB


class ArrayStream:
    """A ``.npy`` file whose header has been checked against its size.

    Attributes:
        place: The file, for messages.
        shape: Its shape; rows run along the first axis.
        dtype: Its type, never an object type.

    Raises:
        InputError: If the header is damaged, the type or the number of dimensions is not as
            requested, a row is too large for memory, or the file's size differs from what the
            header says.
    """

    def __init__(self, files: Files, name: str, dtypes: tuple[str, ...], dimensions: int) -> None:
        self.place = files.name(name)
        self._files, self._name = files, name
        with files.open(name) as stream:
            header = read_header(stream, self.place)
        self.shape, self.dtype = header.shape, header.dtype
        if self.dtype.name not in dtypes:
            raise InputError(f"{self.place} holds {self.dtype}, not {' or '.join(dtypes)}")
        if len(self.shape) != dimensions:
            raise InputError(f"{self.place} has shape {self.shape}, not {dimensions} dimensions")
        if header.column_order:
            raise InputError(f"{self.place} is stored column by column; save it in C order")
        if files.sizes[name] != header.file_bytes:
            raise InputError(
                f"{self.place} has {files.sizes[name]} bytes, but its header promises "
                f"{header.file_bytes}; it is truncated or damaged"
            )
        if self._row_bytes > _MAX_ROW_BYTES:
            raise InputError(
                f"{self.place} has rows of {self._row_bytes:,} bytes (shape {self.shape}); at most "
                f"{_MAX_ROW_BYTES:,} are read"
            )
        self._offset = header.offset

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, start: int = 0) -> Iterator[np.ndarray]:
        """Yield the rows from ``start`` on, each of shape ``shape[1:]``.

        Raises:
            InputError: If the file ends early or its checksum is wrong.
        """
        size = self._row_bytes
        with zip_errors(self.place), self._files.open(self._name) as stream:
            stream.seek(self._offset + start * size)
            for row in range(start, self.shape[0]):
                data = stream.read(size)
                if len(data) != size:
                    raise InputError(f"{self.place} ends in row {row} of {self.shape[0]}")
                yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])
