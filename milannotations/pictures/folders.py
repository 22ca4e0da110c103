"""The pictures in a folder: in a fixed order, links followed, operating systems' files left out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from milannotations.errors import InputError
from milannotations.file_names import shown

# Those of torchvision's ImageFolder.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"})
# Names, in lower case, that operating systems and storage devices add to folders. Names that begin
# with a dot (.DS_Store, ._photo.jpg, .thumbnails) are also left out.
_RUBBISH = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle",
        "$recycle.bin", "system volume information", "lost+found",
    }
)  # fmt: skip
_LOG = logging.getLogger("milannotations")
_told: set[str] = set()


@dataclass
class Listing:
    """The files below a folder.

    Attributes:
        root: The folder.
        paths: The files, in the order of torchvision's ``ImageFolder``: by the first part of the
            name below ``root``, then by folder, then by name, as texts.
        hidden: Files and folders left out by name.
        dangling: Links that lead nowhere, except those named like a picture.
        circles: Links back to a folder that contains them.
        linked: Links to other folders, which were followed.
    """

    root: Path
    paths: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    dangling: list[Path] = field(default_factory=list)
    circles: list[Path] = field(default_factory=list)
    linked: list[Path] = field(default_factory=list)

    def notice(self) -> str | None:
        """Return one line on what was left out; None if nothing was."""
        kinds = (
            (self.hidden, "hidden files and folders, or those of an operating system"),
            (self.dangling, "links that lead nowhere"),
            (self.circles, "links back to a folder they lie in"),
        )
        parts = [f"{what}: {len(paths)} ({self._some(paths)})" for paths, what in kinds if paths]
        return f"{shown(self.root)}: left out {'; '.join(parts)}" if parts else None

    def tell(self) -> None:
        """Log the notice as a warning, once per process."""
        notice = self.notice()
        if notice is not None and notice not in _told:
            _told.add(notice)
            _LOG.warning(notice)

    def _some(self, paths: list[Path]) -> str:
        names = sorted(path.relative_to(self.root).as_posix() for path in paths)
        return ", ".join(map(shown, names[:3])) + (", …" if len(names) > 3 else "")


def list_images(root: Path) -> Listing:
    """List all pictures below a folder, and log once what was left out.

    Links to files and folders are followed, as in torchvision, except links back to a folder that
    contains them. A link that leads nowhere but is named like a picture is listed; reading it fails
    with an error that names it.

    Raises:
        InputError: If the folder is missing, or one below it cannot be listed.
    """
    listing = _walked(check_folder(root))
    listing.paths = [path for path in listing.paths if _is_image(path.name)]
    listing.paths.sort(key=lambda p: (p.relative_to(root).parts[0], str(p.parent), p.name))
    listing.tell()
    return listing


def list_files(root: Path, hidden: bool = False) -> Listing:
    """List all regular files below a folder, sorted by path; follows links as ``list_images`` does.

    Args:
        root: The folder.
        hidden: Also list files that ``list_images`` leaves out by name.

    Raises:
        InputError: As in ``list_images``.
    """
    listing = _walked(check_folder(root, "folder"), hidden)
    regular = {path for path in listing.paths if path.is_file()}
    listing.dangling += [p for p in listing.paths if p not in regular and p.is_symlink()]
    listing.paths = sorted(regular)
    return listing


def class_folders(root: Path) -> list[Path]:
    """Return the folders directly below a folder, sorted by name, without hidden ones.

    Raises:
        InputError: As in ``list_images``.
    """
    entries = _entries(check_folder(root))
    folders = [Path(e.path) for e in entries if _is_folder(e) and not is_rubbish(e.name)]
    return sorted(folders, key=lambda folder: folder.name)


def check_folder(root: Path, kind: str = "image folder") -> Path:
    """Return the path; raise InputError if it is missing or not a folder."""
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise InputError(f"{kind} {shown(root)} {what}")
    return root


def is_rubbish(name: str) -> bool:
    """Say whether a file or folder is left out because of its name.

    >>> [is_rubbish(name) for name in ("._0.png", "Thumbs.db", "@eaDir", "0.png")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in _RUBBISH


def _walked(root: Path, hidden: bool = False) -> Listing:
    listing = Listing(root)
    waiting: list[tuple[Path, tuple[Path, ...]]] = [(root, (root.resolve(),))]
    while waiting:
        folder, above = waiting.pop()
        for entry in _entries(folder):
            path = Path(entry.path)
            if not hidden and is_rubbish(entry.name):
                listing.hidden.append(path)
                continue
            if not _is_folder(entry):
                lost = _leads_nowhere(entry) and not _is_image(entry.name)
                (listing.dangling if lost else listing.paths).append(path)
                continue
            if not entry.is_symlink():
                waiting.append((path, (*above, above[-1] / entry.name)))
                continue
            real = path.resolve()
            (listing.circles if real in above else listing.linked).append(path)
            if real not in above:
                waiting.append((path, (*above, real)))
    return listing


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise InputError(
            f"folder {shown(folder)} cannot be listed: {error.strerror}; make it readable, or move "
            "it elsewhere"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a folder that cannot be entered
        return False


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    try:
        if entry.is_symlink():
            entry.stat()
    except OSError:
        return True
    return False


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS
