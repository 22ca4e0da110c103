"""Local data for ``datasets``, whatever its path and its links.

``datasets`` takes every path for a pattern: a folder ``[x]`` is not found, and of ``a*b`` it reads
``a-b``, too. It leaves folders out that are links, and Arrow holds no path that is not UTF-8. Such
data is read through a folder of links with plain names. Its place depends on the path alone: so the
cache of ``datasets`` knows it again, and a stream can be read later.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from milannotations.data_home import home, make_folder
from milannotations.declared_files import check_folder_files
from milannotations.errors import InputError
from milannotations.file_names import shown, utf8
from milannotations.pictures.folders import Listing, list_files

_SPECIAL = frozenset("*?[]{}")


def plain_path(path: Path, tell: bool = False) -> Path:
    """Return a path at which ``datasets`` finds all of a folder, or a file, and nothing else.

    Args:
        path: A file or folder that exists.
        tell: Say once what ``list_files`` leaves out of a folder.

    Returns:
        ``path`` itself if its path is plain, no folder in it is a link, and ``datasets`` leaves
        the same files out; else what stands for it below ``home()``: a link, or folders of links.

    Raises:
        InputError: If links are needed and cannot be made, or ``home()`` is not plain either; also
            if a folder cannot be listed, or its card names data elsewhere.
    """
    listing = list_files(path) if path.is_dir() else None
    if listing is not None:
        check_folder_files(path)
    if tell and listing:
        listing.tell()
    if _is_plain(path.absolute()) and not (listing and _needs_links(listing)):
        return path
    real = path.resolve()
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    # The ending tells `datasets` what a single file is.
    ending = real.suffix if listing is None and _is_plain(Path(real.suffix)) else ""
    stand_in = home() / "links" / f"{name}{ending}"
    if not _is_plain(stand_in.absolute()):
        raise InputError(
            f"{shown(path)} and {shown(home())} both have one of * ? [ ] {{ }} in their paths, or "
            "bytes that are not UTF-8; set MILANNOTATIONS_HOME to a plain path"
        )
    make_folder(stand_in.parent)
    try:
        if listing is None:
            _link(stand_in, real)
        else:
            _mirror(stand_in, {utf8(str(p.relative_to(path))): p for p in listing.paths})
    except OSError as error:
        raise InputError(
            f"{shown(path)} has links, one of * ? [ ] {{ }} or bytes that are not UTF-8 in its "
            f"path, and no links to its files can be made ({error.strerror}); rename or copy it"
        ) from error
    return stand_in


def _needs_links(listing: Listing) -> bool:
    """Say whether ``datasets`` would leave a folder out, or read what an operating system left."""
    read_anyway = [path for path in listing.hidden if not path.name.startswith((".", "__"))]
    return bool(listing.linked or read_anyway)


def _mirror(stand_in: Path, files: dict[str, Path]) -> None:
    """Make folders with a link to each file, by its name below them, and no other link."""
    make_folder(stand_in)
    for path in stand_in.rglob("*"):
        target = files.get(str(path.relative_to(stand_in)))
        if path.is_symlink() and (target is None or path.readlink() != target.resolve()):
            path.unlink(missing_ok=True)
    for name, target in files.items():
        (stand_in / name).parent.mkdir(parents=True, exist_ok=True)
        _link(stand_in / name, target.resolve())


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        with suppress(FileExistsError):  # by another process, in this moment
            link.symlink_to(target)


def _is_plain(path: Path) -> bool:
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not _SPECIAL & set(text)
