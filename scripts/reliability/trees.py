"""Snapshots of folders: their contents, the visible part, and differences."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

# Path below the folder: "folder", "link to …", or the hash of a file's content.
Tree: TypeAlias = "dict[str, str]"
Normalise: TypeAlias = "Callable[[str, bytes], bytes]"
_STAGED = re.compile(r"([^/]*)\.[0-9a-f]{16}\.per_neuron\.parquet$")
_TABLE_HASH = re.compile(rb'"table": "([0-9a-f]{64})"')
# Content of the file with which Python tests whether its temporary folder is writable.
_PYTHONS_TRIAL = b"blat"
CACHES = ("hf",)  # caches of other libraries, which clean them up themselves


def snapshot(root: Path, normalise: Normalise, skip: tuple[str, ...] = CACHES) -> Tree:
    """Return the contents of a folder.

    Args:
        root: The folder.
        normalise: Removes the parts of a file that may differ between two runs, such as times.
        skip: Folders directly below ``root`` that are left out.
    """
    tree: Tree = {}
    for place, folders, files in os.walk(root):
        here = Path(place)
        if here == root:
            folders[:] = [name for name in folders if name not in skip]
        for name in [*folders, *files]:
            path = here / name
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                tree[relative] = f"link to {path.readlink()}"
            elif path.is_dir():
                tree[relative] = "folder"
            elif (content := path.read_bytes()) != _PYTHONS_TRIAL:
                content = normalise(relative, content)
                # A table keeps a name with its hash until its result is written.
                relative = _STAGED.sub(r".\1", relative)
                tree[relative] = hashlib.sha256(content).hexdigest()
    return tree


def bound_pairs(root: Path) -> Tree:
    """Return for every result whether a table with the hash that it names lies beside it."""
    pairs: Tree = {}
    for path in root.rglob("*.json"):
        name = _TABLE_HASH.search(path.read_bytes())
        tables = [*path.parent.glob(f"{path.stem}.*per_neuron.parquet")]
        if name and tables:
            there = {hashlib.sha256(table.read_bytes()).hexdigest() for table in tables}
            pair = f"{path.relative_to(root).as_posix()} and its table"
            pairs[pair] = "agree" if name[1].decode() in there else "parted"
    return pairs


def hidden(path: str) -> bool:
    """Return whether a path is unfinished work or a lock: a part of it begins with a dot."""
    return any(name.startswith(".") for name in path.split("/"))


def below(tree: Mapping[str, str], target: str) -> Tree:
    """Return the part of a tree that belongs to a target: a file, or a folder with its contents."""
    return {
        path: content
        for path, content in tree.items()
        if (path == target or path.startswith(f"{target}/")) and not hidden(path)
    }


def half_done(now: Tree, old: Tree, new: Tree, whole: tuple[str, ...]) -> list[str]:
    """Return the visible paths that after a kill are in neither their old nor their final state.

    Args:
        now: The tree after the kill.
        old: The tree before the command.
        new: The tree after an undisturbed command.
        whole: Targets each of which must be all old or all new.
    """
    wrong = []
    for target in whole:
        state = below(now, target)
        empty = set(state.values()) <= {"folder"}
        if not empty and state not in (below(old, target), below(new, target)):
            wrong.append(target)
    for path, content in now.items():
        if hidden(path) or any(path == one or path.startswith(f"{one}/") for one in whole):
            continue
        if content != "folder" and content not in (old.get(path), new.get(path)):
            wrong.append(path)
    return sorted(wrong)


def differences(first: Tree, second: Tree) -> list[str]:
    """Return the paths at which two trees differ."""
    return sorted(
        path for path in first.keys() | second.keys() if first.get(path) != second.get(path)
    )
