"""Reading ``.npy`` and ``.npz`` files, without pickle and without allocating false sizes."""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from milannotations.errors import InputError
from milannotations.zips import open_zip, zip_errors

MAX_HEADER_BYTES = 10_000
MAX_BYTES = 8 * 2**30  # of an array that is read into memory
_MAX_MEMBERS = 100
_UNPACKED_BYTES, _MAX_RATIO = 2**28, 16  # an .npz file may unpack to 256 MiB + 16 × its size
_MAX_DIMENSIONS, _MAX_SIZE = 32, 2**62
_LONGEST_REASON = 200
_MAGIC_BYTES = 8
# How each version packs the length of its header, and what reads it; 3.0 differs from 2.0 only in
# the names of fields, which no array here has.
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_VERSIONS = "1.0, 2.0 or 3.0"


@dataclass(frozen=True)
class ArrayHeader:
    """What a ``.npy`` file says about its array.

    Attributes:
        shape: Its shape; no length is negative.
        dtype: Booleans, numbers, texts, dates …; no objects and no fields.
        column_order: Whether it is stored column by column ("Fortran order").
        offset: Bytes before the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    column_order: bool
    offset: int

    @property
    def file_bytes(self) -> int:
        """Size that the whole file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], name: str | Path) -> ArrayHeader:
    """Read the header of a ``.npy`` file without trusting it.

    Args:
        stream: Positioned at its start; afterwards, at the first byte of the array.
        name: Name of the file, for messages.

    Raises:
        InputError: If it is damaged, too long, or impossible for an array of plain values.
    """
    with zip_errors(name):
        start = stream.read(_MAGIC_BYTES)
        if len(start) < _MAGIC_BYTES or not start.startswith(npy.MAGIC_PREFIX):
            raise InputError(f"{name} is no readable .npy file: it does not begin as one")
        version = (start[6], start[7])
        if version not in _LENGTHS:
            raise InputError(f"{name} has format version {version}, not {_VERSIONS}")
        packed = stream.read(struct.calcsize(_LENGTHS[version]))
        if len(packed) < struct.calcsize(_LENGTHS[version]):
            raise InputError(f"{name} is no readable .npy file: it ends in its header")
        (length,) = struct.unpack(_LENGTHS[version], packed)
        if length > MAX_HEADER_BYTES:
            raise InputError(
                f"{name} is no readable .npy file: its header would have {length:,} bytes; at most "
                f"{MAX_HEADER_BYTES:,} are read"
            )
        header = stream.read(length)
    if len(header) < length:
        raise InputError(f"{name} is no readable .npy file: it ends in its header")
    shape, column_order, dtype = _parsed(packed, header, version, name)
    _check(shape, dtype, name)
    offset = _MAGIC_BYTES + len(packed) + length
    return ArrayHeader(shape, dtype, column_order and len(shape) > 1, offset)


def read_array(
    path: Path,
    kinds: str = "f",
    mapped: Literal["r", "c"] | None = None,
    most_bytes: int = MAX_BYTES,
) -> NDArray[Any]:
    """Read an array from a ``.npy`` file.

    Args:
        path: The file.
        kinds: NumPy's letters for the kinds of numbers that are accepted: ``b`` booleans, ``i``
            and ``u`` integers, ``f`` floating point.
        mapped: Map the file into memory, ``r`` for reading or ``c`` for copy-on-write; by default
            it is read whole.
        most_bytes: Size of the largest file that is read whole.

    Raises:
        InputError: If the file is missing, damaged, too large, of a kind that is not accepted, or
            of another size than its header says; names the file.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file; name a .npy file")
    with path.open("rb") as stream:
        header = read_header(stream, path)
        size = path.stat().st_size
        _check_kind(header, kinds, path)
        if size != header.file_bytes:
            raise InputError(
                f"{path} has {size} bytes, but its header promises {header.file_bytes}; it is "
                "truncated or damaged"
            )
        if mapped is None:
            _check_size(header, most_bytes, path)
            return _from_stream(stream, header, path)
    if not math.prod(header.shape):  # mmap refuses to map nothing
        return np.zeros(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.column_order else "C"
    return np.memmap(
        path, header.dtype, mapped, offset=header.offset, shape=header.shape, order=order
    )


def read_arrays(
    path: Path, kinds: Mapping[str, str], most_bytes: int = MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """Read named arrays from an ``.npz`` file; others in it are ignored.

    Args:
        path: The file.
        kinds: The arrays to read if they are there, each with the kinds that it may have; see
            ``read_array``.
        most_bytes: Limit on the unpacked size of the file's members.

    Raises:
        InputError: If the file is missing, damaged, suspicious or too large, holds none of the
            arrays, or one of them has another kind; names the file.
    """
    arrays = {}
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file; name a .npz file")
    # Numbers hardly compress: a small file with large arrays is meant to exhaust memory.
    proportionate = _UNPACKED_BYTES + _MAX_RATIO * path.stat().st_size
    with open_zip(path, _MAX_MEMBERS, min(most_bytes, proportionate)) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for name in kinds:
            member = members.get(f"{name}.npy")
            if member is None:
                continue
            member_name = f"{path}: {member.filename}"
            with zip_errors(member_name), archive.open(member) as stream:
                header = read_header(stream, member_name)
                _check_kind(header, kinds[name], member_name)
                if member.file_size != header.file_bytes:
                    raise InputError(
                        f"{member_name} has {member.file_size} bytes, but its header promises "
                        f"{header.file_bytes}; it is damaged"
                    )
                arrays[name] = _from_stream(stream, header, member_name)
    if not arrays:
        held = [name.removesuffix(".npy") for name in members]
        raise InputError(
            f"{path} holds the arrays {_some(held)}, not {' or '.join(repr(n) for n in kinds)}"
        )
    return arrays


def _parsed(
    packed: bytes, header: bytes, version: tuple[int, int], name: str | Path
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        if version == (3, 0):
            version, header = (2, 0), header.decode("utf-8").encode("latin-1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers written by Python 2, and odd literals
            shape, column_order, dtype = _READERS[version](
                io.BytesIO(packed + header), max_header_size=MAX_HEADER_BYTES
            )
    except Exception as error:
        # NumPy reads the header with Python's own parser, which raises SyntaxError, TokenError,
        # TypeError, MemoryError, RecursionError and others, depending on the version.
        detail = " ".join(str(error).split())[:_LONGEST_REASON]
        if not isinstance(error, ValueError) or not detail:
            detail = "it is no dictionary of a type, an order and a shape"
        raise InputError(
            f"{name} is no readable .npy file: its header cannot be read ({detail})"
        ) from error
    return shape, column_order, dtype


def _check(shape: tuple[int, ...], dtype: np.dtype[Any], name: str | Path) -> None:
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        kind = "object" if dtype.hasobject else "records"
        raise InputError(f"{name} holds {kind}, not numbers")
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise InputError(f"{name} has the impossible shape {_some(shape)}")
    if len(shape) > _MAX_DIMENSIONS:
        raise InputError(f"{name} has {len(shape)} dimensions; at most {_MAX_DIMENSIONS} are read")
    # Lengths of 0 are left out, as in NumPy's own check: (10**18, 0) takes no bytes, but its
    # other length is still impossible.
    if math.prod(length for length in shape if length) * max(dtype.itemsize, 1) > _MAX_SIZE:
        raise InputError(f"{name} has the impossible shape {_some(shape)}")


def _check_kind(header: ArrayHeader, kinds: str, name: str | Path) -> None:
    if header.dtype.kind not in kinds:
        raise InputError(f"{name} holds {header.dtype}, not {_kinds(kinds)}")


def _check_size(header: ArrayHeader, most_bytes: int, name: str | Path) -> None:
    if header.file_bytes > most_bytes:
        raise InputError(
            f"{name} has {header.file_bytes:,} bytes; at most {most_bytes:,} are read into memory"
        )


def _from_stream(stream: IO[bytes], header: ArrayHeader, name: str | Path) -> NDArray[Any]:
    """Return the array that follows a header whose size has been checked."""
    size = header.file_bytes - header.offset
    flat = np.zeros(math.prod(header.shape), header.dtype)
    read = stream.readinto(flat.view(np.uint8)) if size else 0  # type: ignore[attr-defined]
    if read != size:
        raise InputError(f"{name} ends after {read} of {size} bytes")
    return flat.reshape(header.shape, order="F" if header.column_order else "C")


def _kinds(kinds: str) -> str:
    words = {"b": "booleans", "i": "integers", "f": "floating-point numbers"}
    return " or ".join(word for letter, word in words.items() if letter in kinds)


def _some(values: Collection[Any]) -> str:
    text = str(tuple(values) if not isinstance(values, list) else values)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} …"
