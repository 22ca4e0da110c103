"""The hidden files and folders beside a target while it is written.

For a target ``name`` they are ``.name.lock``, ``.name.partial``, ``.name.<number>.old``,
``.name.unfinished`` and ``.name.unfinished.json``. Only the holder of the lock may create, use or
remove the others, so whoever gets the lock knows that nobody else is using them.
"""

from __future__ import annotations

import re
from pathlib import Path

# Endings of the names. Before the ending, a name may have eight random characters of `tempfile`
# (without locks, and in earlier versions); an `.old` has the inode number of the new folder.
LOCK, PARTIAL, OLD, UNFINISHED, STATE = (
    ".lock",
    ".partial",
    ".old",
    ".unfinished",
    ".unfinished.json",
)
_OLD_NAME = re.compile(r"\.(?P<target>.+)\.(?P<inode>[0-9]+)\.old", re.DOTALL)


def lock_file(target: Path) -> Path:
    """Return the path of the lock file of a target."""
    return _beside(target, LOCK)


def partial_path(target: Path) -> Path:
    """Return the path where a target is written before it gets its final name."""
    return _beside(target, PARTIAL)


def unfinished_folder(target: Path) -> Path:
    """Return the folder beside ``target`` that holds unfinished work on it."""
    return _beside(target, UNFINISHED)


def state_file(target: Path) -> Path:
    """Return the file that identifies complete work while it is being moved to ``target``."""
    return _beside(target, STATE)


def old_folder(target: Path, inode: int) -> Path:
    """Return the path where the folder at ``target`` is kept while another takes its place.

    Args:
        target: The folder to be replaced.
        inode: The inode number of the folder that takes its place; it shows later whether that
            has happened.
    """
    return _beside(target, f".{inode}{OLD}")


def old_folders(target: Path) -> list[tuple[Path, int]]:
    """Return the replaced folders beside a target, each with the inode number in its name."""
    matches = [_OLD_NAME.fullmatch(path.name) for path in target.parent.glob(".*.old")]
    return sorted(
        (target.parent / match.group(), int(match["inode"]))
        for match in matches
        if match and match["target"] == target.name
    )


def _beside(target: Path, ending: str) -> Path:
    if target.name in ("", ".."):
        target = target.resolve()
    return target.parent / f".{target.name}{ending}"


def belongs_to(path: Path, target: Path) -> bool:
    """Say whether a path is a target or one of the hidden paths beside it, or lies inside one."""
    ours = {target, lock_file(target), partial_path(target), unfinished_folder(target)}
    ours.add(state_file(target))
    return bool(ours & {path, *path.parents})
