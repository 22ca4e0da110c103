"""Arrays of ``.npy`` files, read row by row: no pickle, no memory for unchecked sizes."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.lib import format as npy

from milannotations.errors import InputError
from milannotations.release.archive import Files

MAX_HEADER_BYTES = 10_000
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class ArrayStream:
    """One ``.npy`` file whose header has been checked against its size.

    Attributes:
        place: File, for messages.
        shape: Its shape; rows run along the first axis.
        dtype: Its type: never an object.

    Raises:
        InputError: If the header is damaged, the type or number of dimensions is none of those
            asked for, or the file has another size than the header says.
    """

    def __init__(self, files: Files, name: str, dtypes: tuple[str, ...], dimensions: int) -> None:
        self.place = files.name(name)
        self._files, self._name = files, name
        with files.open(name) as stream:
            self.shape, self.dtype = self._read_header(stream)
            header = stream.tell()
        if self.dtype.hasobject or self.dtype.name not in dtypes:
            raise InputError(f"{self.place} holds {self.dtype}, not {' or '.join(dtypes)}")
        if len(self.shape) != dimensions:
            raise InputError(f"{self.place} has shape {self.shape}, not {dimensions} dimensions")
        promised = header + math.prod(self.shape) * self.dtype.itemsize
        if files.sizes[name] != promised:
            raise InputError(
                f"{self.place} has {files.sizes[name]} bytes, but its header promises {promised}; "
                "it is truncated or damaged"
            )

    def _read_header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
        try:
            version = npy.read_magic(stream)
            if version not in _READERS:
                raise InputError(f"{self.place} has format version {version}, not 1.0 or 2.0")
            shape, fortran, dtype = _READERS[version](stream, max_header_size=MAX_HEADER_BYTES)
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.place} is no readable .npy file: {error}") from error
        if fortran and len(shape) > 1:
            raise InputError(f"{self.place} is stored column by column; save it in C order")
        if any(length < 0 for length in shape):
            raise InputError(f"{self.place} has the impossible shape {shape}")
        return shape, dtype

    def rows(self, start: int = 0) -> Iterator[np.ndarray]:
        """Yield the rows from ``start`` on, each of shape ``shape[1:]``.

        Raises:
            InputError: If the file ends early or its checksum is wrong.
        """
        row_shape = self.shape[1:]
        size = math.prod(row_shape) * self.dtype.itemsize
        try:
            with self._files.open(self._name) as stream:
                self._read_header(stream)
                stream.seek(start * size, 1)
                for row in range(start, self.shape[0]):
                    data = stream.read(size)
                    if len(data) != size:
                        raise InputError(f"{self.place} ends in row {row} of {self.shape[0]}")
                    yield np.frombuffer(data, self.dtype).reshape(row_shape)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"{self.place} is damaged: {error}") from error
