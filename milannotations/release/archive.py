"""The files of a release, in a zip or a folder; a zip is neither extracted nor trusted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

from milannotations.errors import InputError
from milannotations.pictures.folders import list_files
from milannotations.tables import MAX_TABLE_BYTES
from milannotations.zips import clean_name, folded_name, open_zip, zip_errors

LAYER_FILES = ("masks.npy", "images.npy", "units.npy", "ids.csv", "activations.csv")
ANNOTATIONS = "annotations.csv"

MAX_MEMBERS = 10_000
MAX_TOTAL_BYTES = 256 * 2**30


class Files(ABC):
    """Named binary files: ``annotations.csv`` and ``<layer>/<one of LAYER_FILES>``.

    Attributes:
        path: The zip or folder, for messages.
        sizes: Size of each file in bytes, by its name with forward slashes.
        ignored: Names of files outside the layout; they are never opened.
    """

    def __init__(self, path: Path, sizes: dict[str, int]) -> None:
        self.path = path
        prefix = _prefix(path, sizes)
        self._names = {
            name[len(prefix) :]: name
            for name in sizes
            if name.startswith(prefix) and _in_layout(name[len(prefix) :])
        }
        self.sizes = {name: sizes[full] for name, full in self._names.items()}
        self.ignored = sorted(set(sizes) - set(self._names.values()))
        _check_layers(path, self.layers)

    @property
    def layers(self) -> list[str]:
        """Names of the layer folders, sorted as text, as the original code sorts them."""
        return sorted({name.split("/")[0] for name in self.sizes if "/" in name})

    def name(self, name: str) -> str:
        """Return a file's full location, for messages."""
        return f"{self.path}: {self._names.get(name, name)}"

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading."""
        return self._open(self._names[name])

    def read(self, name: str) -> bytes:
        """Return the bytes of a small file.

        Raises:
            InputError: If it is damaged, or larger than 1 GB.
        """
        if self.sizes[name] > MAX_TABLE_BYTES:
            raise InputError(
                f"{self.name(name)} has {self.sizes[name]} bytes; at most 1 GB is read"
            )
        with zip_errors(self.name(name)), self.open(name) as stream:
            return stream.read()

    @abstractmethod
    def _open(self, full: str) -> IO[bytes]: ...

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what distinguishes this release from others, as JSON."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""


class FolderFiles(Files):
    """The files of a folder, as the original code extracts or writes it."""

    def __init__(self, folder: Path) -> None:
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in list_files(folder, hidden=True).paths
        }
        super().__init__(folder, sizes)

    def _open(self, full: str) -> IO[bytes]:
        return (self.path / full).open("rb")

    def identity(self) -> dict[str, Any]:
        """Return the folder's name, and the sizes and times of its files."""
        times = {n: (self.path / full).stat().st_mtime_ns for n, full in self._names.items()}
        return {"path": str(self.path.resolve()), "sizes": self.sizes, "times": times}

    def close(self) -> None:
        """Do nothing: no file is held open."""


class ZipFiles(Files):
    """The files of a zip, read without extracting it.

    Raises:
        InputError: If it is damaged, or contains anything that a release has no reason to
            contain: names that lead elsewhere, links, encryption, members that share bytes, too
            many members, or sizes out of all proportion.
    """

    def __init__(self, path: Path) -> None:
        self._zip = open_zip(path, MAX_MEMBERS, MAX_TOTAL_BYTES)
        try:
            members = [m for m in self._zip.infolist() if not m.is_dir()]
            super().__init__(path, {clean_name(m.filename): m.file_size for m in members})
        except BaseException:
            self._zip.close()
            raise
        self._members = {clean_name(m.filename): m for m in members}

    def _open(self, full: str) -> IO[bytes]:
        with zip_errors(f"{self.path}: {full}"):
            return self._zip.open(self._members[full])

    def identity(self) -> dict[str, Any]:
        """Return the zip's name and, for each member, its size and checksum."""
        return {
            "path": str(self.path.resolve()),
            "members": {n: [m.file_size, m.CRC] for n, m in sorted(self._members.items())},
        }

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


def open_files(path: Path) -> Files:
    """Open a release: a folder, or a zip.

    Raises:
        InputError: If it is neither, or cannot be trusted; see ``ZipFiles``.
    """
    if path.is_dir():
        return FolderFiles(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; name the zip or the folder of a release")
    return ZipFiles(path)


def _prefix(path: Path, sizes: dict[str, int]) -> str:
    """Return the subfolder of a zip or folder that holds the layers: '' or ending in '/'."""
    roots = {
        "/".join(name.split("/")[:-2])
        for name in sizes
        if name.endswith("/masks.npy") and not name.startswith("__MACOSX/")
    }
    if not roots:
        raise InputError(
            f"{path} has no layer folder with masks.npy; a release holds annotations.csv and "
            "<layer>/masks.npy"
        )
    # An unfinished copy may lie deeper; the release itself lies highest.
    depth = min(len(root.split("/")) if root else 0 for root in roots)
    highest = [r for r in roots if (len(r.split("/")) if r else 0) == depth]
    if len(highest) > 1:
        raise InputError(
            f"{path} holds several releases ({', '.join(sorted(highest)[:3])}); name one of them"
        )
    return f"{highest[0]}/" if highest[0] else ""


def _in_layout(name: str) -> bool:
    parts = name.split("/")
    return name == ANNOTATIONS or (len(parts) == 2 and parts[1] in LAYER_FILES)


def _check_layers(path: Path, layers: list[str]) -> None:
    folded: dict[str, str] = {}
    for layer in layers:
        other = folded.setdefault(folded_name(layer), layer)
        if other != layer:
            raise InputError(
                f"{path}: the layers {other!r} and {layer!r} differ only in case, or in the form "
                "of their Unicode; on many disks they are one folder. Rename one"
            )
