"""The files of a submission, in a folder or a zip, read without trust.

Nothing is ever extracted or followed: of a zip or folder only the two files named below are read,
up to a size.
"""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from leaderboard.strict_yaml import MAX_BYTES as MAX_METADATA
from leaderboard.submission.problems import Problems
from milannotations.errors import InputError
from milannotations.zips import open_zip, zip_errors

METADATA = "submission.yaml"
TABLES = ("descriptions.csv", "descriptions.tsv", "descriptions.parquet")
MAX_TABLE = 64 * 2**20
MAX_MEMBERS = 20
MAX_TOTAL = 2 * MAX_TABLE


@dataclass(frozen=True)
class Package:
    """What was sent in.

    Attributes:
        path: The folder or zip.
        metadata: Bytes of ``submission.yaml``; None if it cannot be read.
        table: Bytes of the descriptions; None if there are none or they cannot be read.
        table_name: Name of that file.
    """

    path: Path
    metadata: bytes | None
    table: bytes | None
    table_name: str


def open_package(path: Path, problems: Problems) -> Package:
    """Read a submission's files.

    Args:
        path: Its folder or zip.
        problems: Gets what is wrong with its files.

    Raises:
        InputError: If there is no such thing, or it is no zip that can be trusted.
    """
    if path.is_dir():
        files = {name: _from_folder(path, name, problems) for name in (METADATA, *TABLES)}
    elif path.is_file():
        files = _from_zip(path, problems)
    else:
        raise InputError(f"{path} does not exist; name a submission's folder or zip")
    if files[METADATA] is None and not _told(problems, METADATA):
        problems.add(
            METADATA, None, "missing", "missing; `milannotations leaderboard init` writes one"
        )
    present = [name for name in TABLES if files[name] is not None]
    if len(present) > 1:
        problems.add(present[1], None, "twice", f"stands beside {present[0]}; send one of them")
    name = present[0] if present else TABLES[0]
    return Package(path, files[METADATA], files[name], name)


def _told(problems: Problems, file: str) -> bool:
    return any(one.file == file for one in problems.found)


def _limit(name: str) -> int:
    return MAX_METADATA if name == METADATA else MAX_TABLE


def _from_folder(folder: Path, name: str, problems: Problems) -> bytes | None:
    path = folder / name
    try:
        mode = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(mode.st_mode):
        # A link could lead to any file of the scorer's machine, and a pipe never ends.
        problems.add(name, None, "no file", "is a link, folder or device; send the file itself")
        return None
    if mode.st_size > _limit(name):
        problems.add(
            name, None, "size", f"has {mode.st_size:,} bytes; at most {_limit(name):,} are read"
        )
        return None
    return path.read_bytes()


def _from_zip(path: Path, problems: Problems) -> dict[str, bytes | None]:
    files: dict[str, bytes | None] = dict.fromkeys((METADATA, *TABLES))
    with zip_errors(path), open_zip(path, MAX_MEMBERS, MAX_TOTAL) as archive:
        members = [m for m in archive.infolist() if not m.is_dir()]
        places: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            inside = PurePosixPath(member.filename)
            if inside.parts[0] == "__MACOSX" or inside.name == ".DS_Store":
                continue
            if inside.name not in files or len(inside.parts) > 2:
                continue
            if inside.name in places:
                problems.add(inside.name, None, "twice", "occurs twice in the zip")
            places[inside.name] = member
        for name, member in places.items():
            if member.file_size > _limit(name):
                problems.add(
                    name,
                    None,
                    "size",
                    f"has {member.file_size:,} bytes; at most {_limit(name):,} are read",
                )
                continue
            files[name] = archive.read(member)
    return files
