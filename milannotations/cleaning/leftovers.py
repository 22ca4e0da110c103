"""Finding what interrupted runs have left, by its exact name, and checking if it is in use."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from milannotations.data_home import downloads, home
from milannotations.storage.lock_files import MARK
from milannotations.storage.locks import is_held
from milannotations.storage.names import LOCK, lock_file

# Files that no lock guards are assumed to be abandoned if they have not changed for this long.
UNGUARDED_S = 3600.0

_RANDOM = "[a-z0-9_]{8}"  # from `tempfile`: without locks, and in earlier versions
_PARTIAL = re.compile(r"\.(?P<target>.+)\.partial", re.DOTALL)
_PARTIAL_RANDOM = re.compile(rf"\.(?P<target>.+)\.{_RANDOM}\.partial", re.DOTALL)
_REPLACED = re.compile(rf"\.(?P<target>.+)\.(?:(?P<inode>[0-9]+)|{_RANDOM})\.old", re.DOTALL)
_UNFINISHED = re.compile(r"\.(?P<target>.+)\.unfinished", re.DOTALL)
_STATE = re.compile(r"\.(?P<target>.+)\.unfinished\.json", re.DOTALL)
_LOCK = re.compile(r"\.(?P<target>.+)\.lock", re.DOTALL)
_DOWNLOAD = re.compile(r"(?P<target>[^.].*)\.partial(\.json)?", re.DOTALL)
_HALF_COUNTED = re.compile(r"(maps|part|thresholds)-[0-9a-f]{12}(-\d{7}(-\d+)?)?\.safetensors")
# Locks of earlier versions, which did not remove them: in the project's folder, and elsewhere.
_EARLIER_LOCKS = ("fingerprints.json.lock", "code-models.json.lock")
_EARLIER_LOCK_FOLDER = re.compile(r"milannotations-locks-.+", re.DOTALL)
_EARLIER_LOCK = re.compile(r"[0-9a-f]{32}")
_UPLOAD = re.compile(rf"milannotations-upload-{_RANDOM}")


class Kind(Enum):
    """What a leftover is; the value is what users see."""

    TEMPORARY = "half-written"
    REPLACED = "what was replaced"
    LOCK = "lock"
    UNFINISHED = "unfinished work"
    DOWNLOAD = "unfinished download"
    UPLOAD = "copy for an upload"

    @property
    def resumable(self) -> bool:
        """Whether running the same command again resumes it."""
        return self in (Kind.UNFINISHED, Kind.DOWNLOAD)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that an interrupted run has left.

    Attributes:
        path: Where it is.
        kind: What it is.
        target: What was being written; None if it belongs to no file.
        bytes: Its size, with everything in it.
        changed: When anything in it was last changed, in seconds since 1970.
        reason: Why it must stay; empty if it may be removed.
    """

    path: Path
    kind: Kind
    target: Path | None
    bytes: int
    changed: float
    reason: str = ""

    @property
    def age(self) -> float:
        """Seconds since it was last changed."""
        return max(0.0, time.time() - self.changed)


def default_folders() -> list[Path]:
    """Return where to look if no folder is named: here, and in the project's folder."""
    return [Path(), *([home()] if home().is_dir() else [])]


def find(folders: Sequence[Path], temporary: bool) -> list[Leftover]:
    """Return all leftovers below some folders, sorted by path; links are not followed.

    Args:
        folders: Where to look.
        temporary: Look in the system's folder for temporary files, too.
    """
    paths: dict[Path, Leftover] = {}
    for folder in folders:
        for leftover in _below(folder):
            paths.setdefault(leftover.path.resolve(), leftover)
    if temporary:
        for leftover in _in_temporary(Path(tempfile.gettempdir())):
            paths.setdefault(leftover.path.resolve(), leftover)
    return sorted(paths.values(), key=lambda leftover: str(leftover.path))


def looked_at(path: Path, holding: bool = False) -> Leftover | None:
    """Return what a path is now; None if it is not a leftover.

    Args:
        path: A file or folder.
        holding: Whether this process holds the locks that guard it.
    """
    kind, target = _named(path)
    if kind is None or not _is_what_it_says(path, kind):
        return None
    size, changed = _measured(path)
    leftover = Leftover(path, kind, target, size, changed)
    return Leftover(path, kind, target, size, changed, _reason(leftover, holding))


def locks_of(leftover: Leftover) -> list[Path]:
    """Return the lock files that guard a leftover."""
    if leftover.kind is Kind.LOCK:
        return [leftover.path]
    locks = [lock_file(leftover.target)] if leftover.target else []
    # `.a.features.partial` may belong to `a.features`, or to `a` with eight random characters.
    if leftover.kind is Kind.TEMPORARY and (match := _PARTIAL.fullmatch(leftover.path.name)):
        locks.append(lock_file(leftover.path.parent / match["target"]))
    return list(dict.fromkeys(locks))


def _below(folder: Path) -> Iterator[Leftover]:
    for above, folders, files in os.walk(folder):
        names = sorted([*folders, *files])
        for name in names:
            if leftover := looked_at(Path(above) / name):
                yield leftover
                if name in folders:
                    folders.remove(name)


def _in_temporary(folder: Path) -> Iterator[Leftover]:
    """Yield the locks of earlier versions, and copies of what was to be uploaded."""
    for path in sorted(folder.glob("milannotations-*")):
        if path.is_symlink() or not path.is_dir() or not _is_mine(path):
            continue
        inside = sorted(path.iterdir()) if _EARLIER_LOCK_FOLDER.fullmatch(path.name) else [path]
        for each in inside:
            if leftover := looked_at(each):
                yield leftover


def _named(path: Path) -> tuple[Kind | None, Path | None]:
    """Return what a path is, judging by its name, and what was being written."""
    for pattern, kind in (
        (_PARTIAL_RANDOM, Kind.TEMPORARY),
        (_PARTIAL, Kind.TEMPORARY),
        (_REPLACED, Kind.REPLACED),
        (_UNFINISHED, Kind.UNFINISHED),
        (_STATE, Kind.UNFINISHED),
        (_LOCK, Kind.LOCK),
    ):
        if match := pattern.fullmatch(path.name):
            return kind, path.parent / match["target"]
    if path.parent.resolve() == downloads().resolve() and (m := _DOWNLOAD.fullmatch(path.name)):
        return Kind.DOWNLOAD, path.parent / m["target"]
    if path.parent.parent.name == "dissection" and _HALF_COUNTED.fullmatch(path.name):
        return Kind.UNFINISHED, path.parent
    if path.parent.resolve() == home().resolve() and path.name in _EARLIER_LOCKS:
        return Kind.LOCK, None
    if path.parent.resolve() == Path(tempfile.gettempdir()).resolve() and _UPLOAD.fullmatch(
        path.name
    ):
        return Kind.UPLOAD, None
    return _earlier_lock(path)


def _earlier_lock(path: Path) -> tuple[Kind | None, Path | None]:
    above = _EARLIER_LOCK_FOLDER.fullmatch(path.parent.name)
    return (Kind.LOCK, None) if above and _EARLIER_LOCK.fullmatch(path.name) else (None, None)


def _is_what_it_says(path: Path, kind: Kind) -> bool:
    """Check that something is a file or a folder, as its kind requires; links are neither."""
    if path.is_symlink():
        return False
    if kind is Kind.LOCK:
        return path.is_file() and (not path.name.startswith(".") or _is_our_lock(path))
    if kind in (Kind.REPLACED, Kind.UPLOAD):
        return path.is_dir()
    if kind is Kind.UNFINISHED:
        return path.is_dir() if path.name.endswith(".unfinished") else path.is_file()
    return path.is_dir() or path.is_file()


def _is_our_lock(path: Path) -> bool:
    """Check whether a lock is ours: other programs' locks have such names, too."""
    if path.parent.resolve() == downloads().resolve():
        return True
    try:
        with path.open("rb") as file:
            begins = file.read(len(MARK))
        return begins == MARK.encode() or (not begins and bool(path.stat().st_mode & stat.S_ISVTX))
    except OSError:
        return False


def _reason(leftover: Leftover, holding: bool) -> str:
    """Say why something must stay; empty if it may be removed."""
    try:
        locks = [] if holding else locks_of(leftover)
        if any(map(is_held, locks)) or _is_held_inside(leftover):
            return "in use"
    except OSError:
        return "whether it is in use cannot be found out"
    if leftover.kind is Kind.REPLACED and (reason := _still_wanted(leftover)):
        return reason
    unguarded = leftover.kind is Kind.UPLOAD or _PARTIAL_RANDOM.fullmatch(leftover.path.name)
    if unguarded and leftover.age < UNGUARDED_S:
        return "may be in use: changed within the last hour, and no lock tells"
    return ""


def _still_wanted(leftover: Leftover) -> str:
    """Say why a folder that was being replaced may be the only copy; empty if it is not."""
    match, target = _REPLACED.fullmatch(leftover.path.name), leftover.target
    assert match is not None
    assert target is not None
    if not os.path.lexists(target):
        return f"all there is of {target.name}: the command that was replacing it puts it back"
    if not match["inode"] or int(match["inode"]) == leftover.path.lstat().st_ino:
        return ""  # from an earlier version; or a new folder that had not taken its place yet
    if int(match["inode"]) != target.lstat().st_ino:
        return f"something else was put at {target.name} since: look which of the two is wanted"
    return ""


def _is_held_inside(leftover: Leftover) -> bool:
    """Check whether locks are held in a folder: those of shards, which several processes write."""
    if leftover.kind is not Kind.UNFINISHED or not leftover.path.is_dir():
        return False
    return any(is_held(path) for path in leftover.path.rglob(f".*{LOCK}"))


def _measured(path: Path) -> tuple[int, float]:
    """Return the bytes in a file or folder, and when anything in it was last changed."""
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    size, changed = 0, 0.0
    for each in inside:
        try:
            status = each.lstat()
        except OSError:  # removed in the meantime
            continue
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        changed = max(changed, status.st_mtime)
    return size, changed


def _is_mine(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
