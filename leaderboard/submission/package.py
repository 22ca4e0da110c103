"""Reading the files of a submission from a folder or a zip, without trusting it.

Nothing is extracted, and no link is followed: of a folder or zip only the two files named below are
read, up to a maximum size.
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
    """The files of a submission.

    Attributes:
        path: The folder or zip.
        metadata: Content of ``submission.yaml``; None if it cannot be read.
        table: Content of the table of descriptions; None if there is none or it cannot be read.
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
        problems: Collects what is wrong with its files.

    Raises:
        InputError: If it does not exist, or is a file that is not a safe zip.
    """
    if path.is_dir():
        files = {name: _from_folder(path, name, problems) for name in (METADATA, *TABLES)}
    elif path.is_file():
        files = _from_zip(path, problems)
    else:
        raise InputError(f"{path} does not exist; name a submission's folder or zip")
    if files[METADATA] is None and not _has_problem(problems, METADATA):
        problems.add(
            METADATA, None, "missing", "missing; `milannotations leaderboard init` writes one"
        )
    present = [name for name in TABLES if files[name] is not None]
    if len(present) > 1:
        problems.add(present[1], None, "twice", f"stands beside {present[0]}; send one of them")
    name = present[0] if present else TABLES[0]
    return Package(path, files[METADATA], files[name], name)


def _has_problem(problems: Problems, file: str) -> bool:
    return any(problem.file == file for problem in problems.items)


def _limit(name: str) -> int:
    return MAX_METADATA if name == METADATA else MAX_TABLE


def _from_folder(folder: Path, name: str, problems: Problems) -> bytes | None:
    path = folder / name
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        # A link could point to any file on the scorer's machine, and a pipe may never end.
        problems.add(name, None, "no file", "is a link, folder or device; send the file itself")
        return None
    if status.st_size > _limit(name):
        problems.add(
            name, None, "size", f"has {status.st_size:,} bytes; at most {_limit(name):,} are read"
        )
        return None
    return path.read_bytes()


def _from_zip(path: Path, problems: Problems) -> dict[str, bytes | None]:
    files: dict[str, bytes | None] = dict.fromkeys((METADATA, *TABLES))
    with zip_errors(path), open_zip(path, MAX_MEMBERS, MAX_TOTAL) as archive:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            if member.is_dir():
                continue
            inside = PurePosixPath(member.filename)
            if inside.parts[0] == "__MACOSX" or inside.name == ".DS_Store":
                continue
            if inside.name not in files or len(inside.parts) > 2:
                continue
            if inside.name in members:
                problems.add(inside.name, None, "twice", "occurs twice in the zip")
            members[inside.name] = member
        for name, member in members.items():
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
