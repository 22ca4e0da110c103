"""Opening zips from untrusted sources: they are checked before anything in them is unpacked."""

from __future__ import annotations

import errno
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath

from milannotations.errors import InputError

# Deflate cannot compress better than 1,032 : 1; a member that claims more lies about its sizes.
MAX_RATIO = 1_032
# zipfile makes an object for every entry before it can say how many there are.
_DIRECTORY_BYTES = 16 * 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_LOCAL_HEADER = 30  # bytes, without the name
# Records at a zip's end; see PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16.
_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END64, _END64_BYTES = b"PK\x06\x06", 56


def open_zip(path: Path, most: int, total_bytes: int) -> zipfile.ZipFile:
    """Open a zip for reading, after all checks that need no unpacking.

    A zip must start with its first member and end with its directory, so that all programs read
    the same members from it.

    Args:
        path: The zip.
        most: The greatest number of members.
        total_bytes: The greatest total size of the unpacked members.

    Raises:
        InputError: If it is damaged or holds anything that cannot be trusted; see
            ``check_members``.
    """
    with zip_errors(path, "is no complete zip"):
        _check_end(path)
        archive = zipfile.ZipFile(path)
        try:
            members = archive.infolist()
            check_members(path, [m for m in members if not m.is_dir()], most, total_bytes)
            _check_bounds(path, archive)
        except BaseException:
            archive.close()
            raise
    return archive


@contextmanager
def zip_errors(name: Path | str, problem: str = "cannot be read") -> Iterator[None]:
    """Turn what ``zipfile`` raises for damaged files into an error that names the file.

    Args:
        name: Name of the zip or of a member.
        problem: The beginning of the message, before the original error.

    Raises:
        InputError: In place of any of these errors.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # an impossible offset; other errors are the disk's
            raise
        raise InputError(f"{name} {problem} (it names impossible offsets)") from error
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError,
        IndexError, KeyError, RuntimeError,
    ) as error:  # fmt: skip
        # RuntimeError: a feature of zips that Python cannot read.
        raise InputError(
            f"{name} {problem} ({error}); if it was downloaded, download it again"
        ) from error


def check_members(path: Path, members: list[zipfile.ZipInfo], most: int, total_bytes: int) -> None:
    """Refuse members that cannot be trusted, before anything in a zip is read.

    Raises:
        InputError: If a member cannot be trusted, there are more than ``most``, or they would take
            more than ``total_bytes``; names the zip and the member.
    """
    if len(members) > most:
        raise InputError(f"{path} has {len(members)} members; at most {most} are read")
    total = sum(m.file_size for m in members)
    if total > total_bytes:
        raise InputError(
            f"{path} would take {total / 2**30:.2g} GiB; at most {total_bytes / 2**30:.3g} are read"
        )
    by_folded_name: dict[str, str] = {}
    names: set[str] = set()
    for member in members:
        name = clean_name(member.filename)
        other = by_folded_name.setdefault(folded_name(name), name)
        problem = _problem(member)
        if not problem and name in names:
            problem = "occurs twice"
        if not problem and other != name:
            problem = f"differs from {other!r} only in case or in the form of its Unicode"
        if problem:
            raise InputError(f"{path}: member {member.filename!r} {problem}; it is not trusted")
        names.add(name)
    # With members that share compressed bytes, a small file unpacks to any size ("zip bomb").
    ordered = sorted(members, key=lambda m: m.header_offset)
    for member, following in pairwise(ordered):
        if member.header_offset + member.compress_size > following.header_offset:
            raise InputError(
                f"{path}: members {member.filename!r} and {following.filename!r} overlap; it is "
                "not trusted"
            )


def clean_name(name: str) -> str:
    """Return a member's name without the ``./`` that some programs put before it."""
    return name.removeprefix("./")


def folded_name(name: str) -> str:
    """Return a name as file systems that ignore case and Unicode forms compare it.

    >>> folded_name("Conv1") == folded_name("conv1")
    True
    >>> folded_name("caf\\u00e9") == folded_name("cafe\\u0301")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _problem(member: zipfile.ZipInfo) -> str:
    """Say why a member cannot be trusted; return an empty string if it can."""
    name = member.filename
    inside = PurePosixPath(name)
    outside = not inside.parts or inside.is_absolute() or ".." in inside.parts
    if outside or "\\" in name or ":" in inside.parts[0]:
        return "leads out of the folder"
    if any(ord(character) < 32 for character in name):
        return "has control characters in its name"
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or a device"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in _METHODS:
        return f"is compressed by method {member.compress_type}, not by deflate"
    if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
        return f"is stored in {member.compress_size} bytes but claims {member.file_size}"
    if member.file_size > MAX_RATIO * max(member.compress_size, 1) + 1024:
        return f"claims {member.file_size} bytes from {member.compress_size}"
    return ""


def _check_bounds(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise InputError if bytes precede the first member or the last reaches into the directory."""
    members = sorted(archive.infolist(), key=lambda m: m.header_offset)
    if not members:
        return
    if members[0].header_offset:
        raise InputError(
            f"{path} has {members[0].header_offset} bytes before its first member, as of another "
            "zip or a program; it is not trusted"
        )
    last = members[-1]
    if last.header_offset + _LOCAL_HEADER + last.compress_size > archive.start_dir:
        raise InputError(
            f"{path}: member {last.filename!r} reaches into the zip's directory; it is not trusted"
        )


def _check_end(path: Path) -> None:
    """Raise InputError if the directory is out of proportion, or anything follows it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _LOCATOR_BYTES - _END64_BYTES))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise zipfile.BadZipFile("it has no directory at its end")
    directory, comment = struct.unpack("<12xI4xH", tail[at : at + _END_BYTES])
    following = len(tail) - at - _END_BYTES
    if following != comment:
        raise InputError(
            f"{path} has {following} bytes after its directory, which claims {comment}; it is not "
            "trusted"
        )
    # A comment that holds another end would be read as the end by some programs.
    earlier = tail.find(_END)
    while earlier < at:
        if _claims_the_rest(tail, earlier):
            raise InputError(f"{path} has two directories at its end; it is not trusted")
        earlier = tail.find(_END, earlier + 1)
    locator = tail[max(0, at - _LOCATOR_BYTES) : at]
    if locator.startswith(_LOCATOR):
        end = tail[max(0, at - _LOCATOR_BYTES - _END64_BYTES) : at - _LOCATOR_BYTES]
        if not end.startswith(_END64) or len(end) != _END64_BYTES:
            raise zipfile.BadZipFile("its 64-bit directory is not where it should be")
        bytes64 = struct.unpack("<40xQ8x", end)[0]
        directory = bytes64 if directory == 0xFFFFFFFF else max(bytes64, directory)
    if directory > _DIRECTORY_BYTES:
        raise InputError(
            f"{path} has a directory of {directory} bytes; at most {_DIRECTORY_BYTES} are read"
        )


def _claims_the_rest(tail: bytes, at: int) -> bool:
    """Say whether a record that may be a zip's end has a comment that ends with the file."""
    (comment,) = struct.unpack("<20xH", tail[at : at + _END_BYTES])
    return bool(len(tail) - at - _END_BYTES == comment)
