"""Where source images come from, in the order in which releases count them.

The original release names an exemplar by its index in torchvision's ``ImageFolder`` of the
ImageNet validation set: class folders sorted by name, and the files in each sorted by folder and
name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Protocol

import datasets.config
import huggingface_hub.constants
import pyarrow.compute as pc
from datasets import ClassLabel, load_dataset
from datasets import Image as ImageFeature
from PIL import Image

from milannotations.declared_files import check_repository_card
from milannotations.errors import InputError, did_you_mean
from milannotations.file_names import shown, utf8
from milannotations.hub_access import asking_hub
from milannotations.local_data import plain_path
from milannotations.pictures import (
    EXTENSIONS,
    UnreadableImageError,
    class_folders,
    list_images,
    read_rgb,
)


class ImageSource(Protocol):
    """Whole pictures by index.

    Attributes:
        title: A name for people and for ``release.json``, without paths of this machine.
        order: The order of the images, as text.
        has_names: Whether names are those of files, so that they can be compared.
        classes: Number of images of each class, in order; empty if unknown.
    """

    title: str
    order: str
    has_names: bool
    classes: dict[str, int]

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Return a whole picture, RGB; several threads may call this at once."""

    def name(self, index: int) -> str:
        """Return the file's name, with its folders if they are known, or another name."""

    def identity(self) -> Mapping[str, Any]:
        """Return what distinguishes this source from others, as JSON."""


class FolderSource:
    """A folder with one folder per class, in the order of torchvision's ``ImageFolder``.

    Pictures are decoded as everywhere in this project, see ``milannotations.pictures``: those with
    8 bits per channel as by torchvision's default loader, without rotation by EXIF data.

    Args:
        root: The folder that holds the class folders.

    Raises:
        InputError: If it is missing, holds no folders, or they hold no images.
    """

    order = "class folder, then file name"
    has_names = True

    def __init__(self, root: Path) -> None:
        folders = class_folders(root)
        self.root = root
        self.title = f"folder {shown(root.resolve().name)}"
        if not folders:
            raise InputError(
                f"image folder {shown(root)} holds no folders; the images have to lie in one "
                "folder per class, whose names give their order"
            )
        # Pictures beside the class folders belong to no class and are not counted.
        self.paths = [path for path in list_images(root).paths if path.parent != root]
        if not self.paths:
            raise InputError(
                f"the folders in {shown(root)} hold no image ({', '.join(sorted(EXTENSIONS))})"
            )
        counts = Counter(path.relative_to(root).parts[0] for path in self.paths)
        self.classes: dict[str, int] = {utf8(f.name): counts[f.name] for f in folders}

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Image.Image:
        """Return a picture, RGB.

        Raises:
            UnreadableImageError: Names the file.
        """
        return read_rgb(self.paths[index])

    def name(self, index: int) -> str:
        """Return the path of an image relative to the folder, with forward slashes, as UTF-8."""
        return utf8(self.paths[index].relative_to(self.root).as_posix())

    def identity(self) -> dict[str, Any]:
        """Return the folder's path and a hash of the names in it."""
        names = (self.name(index) for index in range(len(self)))
        return {"folder": utf8(str(self.root.resolve())), "names": _hash(names)}


class HubSource:
    """The images of a dataset that ``datasets.load_dataset`` reads: a hub's, or a local folder.

    Where the images have file names and the dataset has one column of class labels, they are
    ordered by label and file name, which for ImageNet is the order of ``ImageFolder``; otherwise
    they keep the dataset's own order. ``order`` says which it was.

    Args:
        name: As ``load_dataset`` takes it.
        split: Which split.
        column: The column with the images; default the only one of that type.

    Raises:
        InputError: If it cannot be loaded, or if it is not clear which column is meant.
    """

    def __init__(self, name: str, split: str, column: str | None = None) -> None:
        self.title = f"dataset {Path(name).name if Path(name).exists() else name}, split {split}"
        self._what = f"{name}, split {split}"
        try:
            path = Path(name).expanduser()
            local = name and path.exists()
            self._folders = _caches()
            if local:
                plain = plain_path(path, tell=True)
                self._folders += [folder.absolute() for folder in (path, plain)]
                data = load_dataset(str(plain), split=split)
            else:
                with asking_hub(f"the dataset {name!r}"):
                    check_repository_card(name.removeprefix("hf://datasets/"), None)
                    data = load_dataset(name, split=split)
        except InputError:
            raise
        except Exception as error:  # `datasets` raises a dozen kinds of its own and of pyarrow's
            raise InputError(
                f"the split {split!r} of the dataset {name!r} cannot be loaded: {error}"
            ) from error
        image_columns = [
            name for name, kind in data.features.items() if isinstance(kind, ImageFeature)
        ]
        self.column = _choose(self._what, image_columns, list(data.features), column)
        # Undecoded: `datasets` rotates pictures by their EXIF data, torchvision does not.
        data = data.select_columns([self.column, *_label_columns(data)])
        self._data = data.cast_column(self.column, ImageFeature(decode=False))
        self._paths = self._read_paths()
        self.has_names = all(self._paths)
        self._rows: Sequence[int] = range(len(data))
        self.order = "the dataset's own"
        self.classes: dict[str, int] = {}
        if not len(data):
            raise InputError(f"{self._what}, has no images")
        if self.has_names and len(labels := _label_columns(data)) == 1:
            self._sort(labels[0])

    def __len__(self) -> int:
        return len(self._rows)

    def image(self, index: int) -> Image.Image:
        """Return a picture, RGB.

        Raises:
            UnreadableImageError: Names the image and the dataset.
        """
        row = self._rows[index]
        cell = self._data[row][self.column]
        file = f"{self.name(index)} (row {row})" if self._paths[row] else f"row {row}"
        picture_name = f"{file} of {self._what}"
        if cell is None:
            raise UnreadableImageError(f"{picture_name}: there is no image")
        # A cell without a path holds its picture, even if that is empty.
        if cell["bytes"] or not cell["path"]:
            return read_rgb(cell["bytes"] or b"", picture_name)
        path = Path(os.path.normpath(cell["path"]))
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise UnreadableImageError(
                f"{picture_name}: it names the file {shown(cell['path'])}, outside of the dataset, "
                "which is not opened; store the image itself"
            )
        return read_rgb(path, picture_name)

    def name(self, index: int) -> str:
        """Return the image's file name, or its row if it has none."""
        row = self._rows[index]
        path = self._paths[row]
        if not path:
            return f"row {row}"
        return PurePath(path).name if PurePath(path).is_absolute() else PurePath(path).as_posix()

    def identity(self) -> dict[str, Any]:
        """Return the dataset's name, its fingerprint and the order."""
        return {
            "dataset": self._what,
            "column": self.column,
            "fingerprint": self._data._fingerprint,
            "order": self.order,
        }

    def _read_paths(self) -> list[str | None]:
        """Return all file names without reading the images between them."""
        paths: list[str | None] = []
        for chunk in self._data.data.column(self.column).chunks:
            paths += pc.struct_field(chunk, "path").to_pylist()
        return paths

    def _sort(self, column: str) -> None:
        labels = self._data.data.column(column).to_pylist()
        if any(label is None or label < 0 for label in labels):
            return  # images without labels cannot be ordered by label

        def key(row: int) -> tuple[int, str, str, int]:
            path = PurePath(str(self._paths[row]))
            return labels[row], str(path.parent), path.name, row

        self._rows = sorted(range(len(labels)), key=key)
        self.order = f"column {column!r}, then file name"
        names, counts = self._data.features[column].names, Counter(labels)
        self.classes = {name: counts[number] for number, name in enumerate(names)}


def _caches() -> list[Path]:
    """Return the folders in which ``datasets`` stores the pictures of hub datasets."""
    caches = (datasets.config.HF_DATASETS_CACHE, huggingface_hub.constants.HF_HUB_CACHE)
    return [Path(cache).absolute() for cache in caches]


def _label_columns(data: Any) -> list[str]:
    return [name for name, kind in data.features.items() if isinstance(kind, ClassLabel)]


def _choose(what: str, image_columns: list[str], columns: list[str], column: str | None) -> str:
    if column is not None and column not in image_columns:
        hint = did_you_mean(column, image_columns)
        raise InputError(f"{what}: {column!r} is no column of images{hint} (columns: {columns})")
    if column is None and len(image_columns) != 1:
        names = f" {image_columns}" if image_columns else ""
        raise InputError(
            f"{what}, has {len(image_columns) or 'no'} columns of images{names}; its columns are "
            f"{columns}"
        )
    return column or image_columns[0]


def _hash(names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
