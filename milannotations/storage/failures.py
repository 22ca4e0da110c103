"""How a failed system call is reported to the user: path, cause and remedy, in one line."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal

from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.storage.names import belongs_to

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AGAIN = "and run the same command again"
# Errors without a number as an attribute: those of Rust and Arrow give it in their text; NumPy,
# torch and Pillow only say that less was written than should have been.
_NUMBER_IN_TEXT = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]|\bcode: (\d+)\b", re.IGNORECASE)
_WROTE_LESS = re.compile(
    r"\d+ requested and \d+ written|PytorchStreamWriter failed writing|inline_container\.cc"
    r".*unexpected pos|iostream error|encoder error -?\d+ when writing",
    re.DOTALL,
)


def explained(error: BaseException, target: Path | None = None) -> InputError | None:
    """Return what to tell the user about an error that the file system caused.

    Args:
        error: As raised by Python, Arrow, safetensors, torch, NumPy or Pillow.
        target: The file or folder that was being written, if any.

    Returns:
        One line that names the path, the cause and the remedy; None if ``error`` is not a failure
        of the file system, or if it names no path and ``target`` is None.

    >>> error = OSError(errno.EROFS, "Read-only file system")
    >>> str(explained(error, Path("out.csv")))[:61]
    'out.csv cannot be written: its file system is read-only; name'
    >>> explained(ValueError("no failure of a file system")) is None
    True
    """
    code = _code(error)
    if code is None:
        return None
    named = _named(error)
    about_target = target is not None and (named is None or _is_part(named, target))
    path = target if about_target else named
    if code in _NO_ROOM:
        return InputError(_no_room(code, path))
    if path is None or code not in _CAUSES:
        return None
    return InputError(_CAUSES[code](path, about_target))


@contextmanager
def explaining(target: Path, ending: str = "") -> Iterator[None]:
    """Turn failures to write ``target``, and full disks, into InputError.

    Args:
        target: What is written inside the block.
        ending: Text to append to the sentence about a full disk.

    Raises:
        InputError: In place of the failure.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        sentence = explained(error, target)
        if sentence is None:
            raise
        named = _named(error)
        if _code(error) in _NO_ROOM:
            raise InputError(f"{sentence}{ending}") from error
        # A failure to read another file is left to the code that reads it.
        if named is None or not _is_part(named, target):
            raise
        raise sentence from error


def _code(error: BaseException) -> int | None:
    """Return the system's error number; ``ENOSPC`` if less was written than should have been."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if _comes_from_the_system(error) and (match := _NUMBER_IN_TEXT.search(text)):
        return int(next(filter(None, match.groups())))
    if isinstance(error, (OSError, RuntimeError)) and _WROTE_LESS.search(text):
        return errno.ENOSPC
    return None


def _comes_from_the_system(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__name__ == "SafetensorError"


def _named(error: BaseException) -> Path | None:
    name = getattr(error, "filename", None)
    return Path(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else None


def _is_part(path: Path, target: Path) -> bool:
    path, target = path.absolute(), target.absolute()
    return belongs_to(path, target) or path == target.parent or path in target.parents


def _no_room(code: int, path: Path | None) -> str:
    what = f"no room to write {shown(path)}" if path else "no room to write a file"
    if code == errno.EDQUOT:
        return f"{what}: your disk quota is used up; delete something or ask for more, {_AGAIN}"
    if code == errno.EFBIG:
        return (
            f"{what}: a limit on the size of files is reached (`ulimit -f`, or the file system's "
            f"own); raise it or choose another disk, {_AGAIN}"
        )
    return f"{what}: the disk is full{_free(path)}; make room or choose another disk, {_AGAIN}"


def _free(path: Path | None) -> str:
    folders = path.absolute().parents if path else []
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return f" ({decimal(shutil.disk_usage(folder).free)} free)" if folder else ""


def _denied(path: Path, writing: bool) -> str:
    if writing:
        return (
            f"{shown(path)} cannot be written: permission denied; change the permissions of "
            f"{shown(path.parent)}, or name another folder"
        )
    return f"{shown(path)} cannot be opened: permission denied; change its permissions"


def _read_only(path: Path, writing: bool) -> str:
    return (
        f"{shown(path)} cannot be written: its file system is read-only; name a folder on another"
    )


def _too_long(path: Path, writing: bool) -> str:
    size = len(os.fsencode(path.name))
    return (
        f"{shown(path)} cannot be written or read: the name is too long ({size} bytes; most file "
        "systems allow 255, and hidden names beside a target take up to 30 of them); choose a "
        "shorter one"
    )


def _missing(path: Path, writing: bool) -> str:
    if writing:
        return (
            f"{shown(path)} cannot be written: its folder is missing, or was removed meanwhile; "
            f"create {shown(path.parent)}, {_AGAIN}"
        )
    return f"{shown(path)} does not exist; check the path"


def _below_file(path: Path, writing: bool) -> str:
    file = next((above for above in [path, *path.parents] if above.is_file()), path.parent)
    verb = "written" if writing else "read"
    return f"{shown(path)} cannot be {verb}: {shown(file)} is a file, not a folder; name a folder"


def _is_folder(path: Path, writing: bool) -> str:
    return f"{shown(path)} is a folder; name a file"


def _circle(path: Path, writing: bool) -> str:
    return f"{shown(path)}: its links lead in a circle; name the file or folder itself"


def _in_use(path: Path, writing: bool) -> str:
    return (
        f"{shown(path)} cannot be replaced: it is in use, or a disk is mounted there; name a "
        "folder in it"
    )


def _broken_disk(path: Path, writing: bool) -> str:
    return f"{shown(path)}: the disk or network drive reports an error; check it, {_AGAIN}"


def _too_many_open(path: Path, writing: bool) -> str:
    return f"{shown(path)} cannot be opened: too many files are open; raise `ulimit -n`"


_CAUSES: dict[int, Callable[[Path, bool], str]] = {
    errno.EACCES: _denied,
    errno.EPERM: _denied,
    errno.EROFS: _read_only,
    errno.ENAMETOOLONG: _too_long,
    errno.ENOENT: _missing,
    errno.ENOTDIR: _below_file,
    errno.EEXIST: _below_file,
    errno.EISDIR: _is_folder,
    errno.ELOOP: _circle,
    errno.EBUSY: _in_use,
    errno.EIO: _broken_disk,
    errno.ESTALE: _broken_disk,
    errno.EMFILE: _too_many_open,
    errno.ENFILE: _too_many_open,
}
