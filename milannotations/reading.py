"""Small files that are read whole: JSON, tables and settings, from people and from this project.

Anything that is not a regular file is refused before it is opened, as reading from a pipe could
wait for ever. No more is read of a file than its kind may have.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from milannotations.errors import InputError


def check_file(path: Path) -> int:
    """Return the size in bytes of a regular file; links are followed.

    Raises:
        InputError: If the path does not exist, or is a folder, pipe or device.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:  # a ValueError if the name holds a NUL
        raise unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder; name a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a pipe or a device; save it as a file, and name that")
    return status.st_size


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's content.

    Args:
        path: A regular file, or a link to one.
        limit: The greatest size of the file, in bytes.

    Raises:
        InputError: If it is missing, not a regular file, too large, or cannot be read.
    """
    size = check_file(path)
    if size > limit:
        raise too_large(path, size, limit)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > limit:  # it is growing, or lies in /proc
        raise too_large(path, len(data), limit)
    return data


def too_large(path: Path, size: int, limit: int) -> InputError:
    """Return the error for a file that has too many bytes."""
    return InputError(f"{path} has {size:,} bytes; at most {limit:,} are read")


def unreadable(path: Path, error: Exception) -> InputError:
    """Return the error for a file that the system does not let us read."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return InputError(f"{path} cannot be read: {why}")


def text_lines(path: Path, limit: int = 64 * 2**20) -> list[str]:
    """Return the lines of a text file that are not blank.

    Raises:
        InputError: If it cannot be read, is too large, or is not UTF-8.
    """
    data = read_bytes(path, limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line} cannot be read: it is not UTF-8") from error
    lines = (line.rstrip("\r") for line in text.replace("\r\n", "\n").split("\n"))
    return [line for line in lines if line.strip()]


def is_there(path: Path) -> bool:
    """Say whether a path exists, be it a file, a folder, a pipe or a dangling link."""
    return os.path.lexists(path)
