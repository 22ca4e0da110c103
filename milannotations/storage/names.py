"""The hidden files and folders beside a target while it is written.

For a target ``name`` they are ``.name.lock``, ``.name.partial``, ``.name.<number>.old``,
``.name.unfinished`` and ``.name.unfinished.json``. Only the holder of the lock may make, use or
remove the others, so whoever gets the lock knows that what lies there is nobody's.
"""

from __future__ import annotations

import re
from pathlib import Path

# Ends of the names, and what else stands in them: eight characters of `tempfile` where a file
# system has no locks, and in earlier versions; the inode number of the new folder in an `.old`.
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
    """Return the path at which a target is written before it gets its name."""
    return _beside(target, PARTIAL)


def unfinished_folder(target: Path) -> Path:
    """Return the folder beside ``target`` that holds unfinished work on it."""
    return _beside(target, UNFINISHED)


def state_file(target: Path) -> Path:
    """Return the file that says of complete work, while it is moved to ``target``, what it is."""
    return _beside(target, STATE)


def old_folder(target: Path, inode: int) -> Path:
    """Return where the folder at ``target`` waits while another takes its place.

    Args:
        target: The folder that is replaced.
        inode: The inode number of the folder that takes its place, which tells later whether it
            has.
    """
    return _beside(target, f".{inode}{OLD}")


def old_folders(target: Path) -> list[tuple[Path, int]]:
    """Return the replaced folders beside a target, and the inode number in the name of each."""
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
    """Say whether a path is a target, in it, or one of the hidden ones beside it, or in those."""
    ours = {target, lock_file(target), partial_path(target), unfinished_folder(target)}
    ours.add(state_file(target))
    return bool(ours & {path, *path.parents})
