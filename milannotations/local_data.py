"""Local data for ``datasets``, whatever its path and its links.

``datasets`` treats every path as a pattern: it does not find a folder ``[x]``, and for ``a*b`` it
reads ``a-b`` too. It skips folders that are links, and Arrow cannot hold a path that is not UTF-8.
Such data are read through a folder of links with plain names. Its place depends on the path alone,
so that the cache of ``datasets`` recognizes it and a stream can still be read later.
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
    """Return a path at which ``datasets`` finds exactly the content of a folder, or a file.

    Args:
        path: An existing file or folder.
        tell: Log once what ``list_files`` leaves out of a folder.

    Returns:
        ``path`` itself if it is plain, no folder in it is a link, and ``datasets`` leaves out the
        same files; otherwise its stand-in below ``home()``: a link, or folders of links.

    Raises:
        InputError: If links are needed but cannot be made or ``home()`` is not plain either, or if
            a folder cannot be listed or its card names data outside it.
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
    # From the ending `datasets` infers the kind of a single file.
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
    """Say whether ``datasets`` would skip a folder, or read files that an operating system left."""
    read_anyway = [path for path in listing.hidden if not path.name.startswith((".", "__"))]
    return bool(listing.linked or read_anyway)


def _mirror(stand_in: Path, files: dict[str, Path]) -> None:
    """Make folders with a link to each file, by its relative name, and remove all other links."""
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
        with suppress(FileExistsError):  # another process may just have made it
            link.symlink_to(target)


def _is_plain(path: Path) -> bool:
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not _SPECIAL & set(text)
