"""Folders of images with one subfolder per class, and names of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from milannotations.errors import InputError
from milannotations.file_names import utf8
from milannotations.json_files import read_json
from milannotations.pictures import class_folders, list_images
from milannotations.rows import Scan, TableLine, content_of
from milannotations.tables import TableError, decode

_SPELLINGS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def classes_of(folder: Path, least: int = 1) -> dict[str, list[Path]]:
    """Return the classes of a folder in alphabetical order, each with its images.

    Args:
        folder: Folder with one subfolder per class, which is searched as by ``list_images``.
        least: Fewest images that a class may have.

    Raises:
        InputError: If there is no such folder, fewer than two classes, or too few images.
    """
    classes: dict[str, list[Path]] = {
        utf8(subfolder.name): [] for subfolder in class_folders(folder)
    }
    for path in list_images(folder).paths:
        if path.parent != folder:
            classes[utf8(path.relative_to(folder).parts[0])].append(path)
    if len(classes) < 2:
        raise InputError(
            f"image folder {folder} has {len(classes)} class folders "
            f"({', '.join(classes) or 'none'}); it must have one for each of at least 2 classes"
        )
    for name, paths in classes.items():
        if len(paths) < least:
            raise InputError(
                f"class {name!r} of {folder} has {len(paths)} images; it must have at least {least}"
            )
    return classes


def existing_splits(images: Path) -> dict[str, Path] | None:
    """Return the subfolders of train, validation and test; None if there are none.

    Raises:
        InputError: If only some of the three are there, or their classes differ.
    """
    folders = {
        split: images / spelling
        for split, spellings in _SPELLINGS.items()
        for spelling in spellings
        if (images / spelling).is_dir() and class_folders(images / spelling)
    }
    if "train" not in folders or len(folders) == 1:
        return None  # a class may have such a name
    if len(folders) < len(_SPELLINGS):
        lacking = ", ".join(set(_SPELLINGS) - set(folders))
        raise InputError(
            f"image folder {images} has splits, but none named {lacking}; give it all of "
            f"{', '.join(_SPELLINGS)}, or name a folder of classes"
        )
    classes = {split: set(classes_of(folder)) for split, folder in folders.items()}
    for split, names in classes.items():
        if names != classes["train"]:
            odd = ", ".join(sorted(names ^ classes["train"])[:5])
            raise InputError(f"image folder {images}: train and {split} differ in classes: {odd}")
    return folders


def shares(count: int, fractions: Sequence[float]) -> list[int]:
    """Divide a number by shares; each gets at least 1.

    >>> shares(10, (0.7, 0.1, 0.2))
    [7, 1, 2]
    >>> shares(3, (0.7, 0.1, 0.2))
    [1, 1, 1]

    Raises:
        InputError: If a share is not above 0, or their sum exceeds 1.
    """
    if min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
        raise InputError(f"shares of splits {tuple(fractions)}; each must be above 0, their sum 1")
    later = [max(1, round(count * fraction)) for fraction in fractions[1:]]
    first = count - sum(later)
    if sum(fractions) < 1 - 1e-9:
        first = min(max(1, round(count * fractions[0])), first)
    return [first, *later]


def class_texts(
    classes: Sequence[str], names: Path | Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a name for each class.

    Args:
        classes: Folders of the classes.
        names: Names of some classes, or a JSON or CSV file of them; others keep the folder's name.

    >>> class_texts(["polar_bear", "n02"], {"n02": "tench"})
    {'polar_bear': 'polar bear', 'n02': 'tench'}

    Raises:
        InputError: If the file cannot be read, or two classes have the same name.
    """
    by_class = named_values(names, "names") if isinstance(names, Path) else dict(names or {})
    texts = {name: " ".join(by_class.get(name, name).replace("_", " ").split()) for name in classes}
    owners: dict[str, str] = {}
    for name, text in texts.items():
        if not text:
            raise InputError(f"class {name!r} has an empty name; give it one")
        plain = text.casefold()
        if plain in owners:
            raise InputError(
                f"classes {owners[plain]!r} and {name!r} are both called {text!r}; give them "
                "different names"
            )
        owners[plain] = name
    return texts


def named_values(path: Path, what: str) -> dict[str, str]:
    """Read a JSON or CSV file with a text for each class.

    Args:
        path: JSON ``{class: text}``, or CSV with the columns class and name.
        what: Name of the texts in messages.

    Raises:
        InputError: If it cannot be read.
    """
    how = "give JSON {class: name}, or CSV with the columns class, name"
    if path.suffix.lower() == ".json":
        names: dict[str, Any] = read_json(path, dict, remedy=how)
    else:
        names = _pairs(path, f"{what} {path}: {how}")
    if not all(isinstance(v, str) for v in names.values()):
        raise InputError(f"{what} {path}: {how}")
    return names


def _pairs(path: Path, how: str) -> dict[str, str]:
    """Read class and name from a CSV, with or without a header."""
    try:
        scan = Scan(decode(content_of(path)), ("class", "name"))
    except TableError as error:
        raise InputError(f"{how} ({error})") from error
    rows = [] if scan.header[:1] == ["class"] else [TableLine(scan.header_line, scan.header)]
    names: dict[str, str] = {}
    try:
        for line in [*rows, *scan]:
            if line.fault or len(line.cells) < 2:
                raise TableError(line.fault or "it lacks a name", line.number)
            name = line.cells[0].strip()
            if name in names:
                raise TableError(f"{name!r} again", line.number)
            names[name] = line.cells[1].strip()
    except TableError as error:
        raise InputError(f"{how} (line {error.line}: {error})") from error
    return names
