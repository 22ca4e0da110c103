"""Folders of images with one folder for each class, and what the classes are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from milannotations.errors import InputError
from milannotations.file_names import utf8
from milannotations.json_files import read_json
from milannotations.pictures import class_folders, list_images
from milannotations.rows import Line, Scan, content_of
from milannotations.tables import TableError, decode

_SPELLINGS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def classes_of(folder: Path, least: int = 1) -> dict[str, list[Path]]:
    """Return the classes of a folder in the order of their names, each with its images.

    Args:
        folder: It has one folder for each class, searched as ``list_images`` does.
        least: How many images a class must have.

    Raises:
        InputError: If there is no such folder, or fewer than two classes, or too few images.
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
    """Return the folders of the splits a folder has; None if it has none.

    Raises:
        InputError: If it has some of the three only, or their classes differ.
    """
    found = {
        split: images / spelling
        for split, spellings in _SPELLINGS.items()
        for spelling in spellings
        if (images / spelling).is_dir() and class_folders(images / spelling)
    }
    if "train" not in found or len(found) == 1:
        return None  # a class may be called so
    if len(found) < len(_SPELLINGS):
        lacking = ", ".join(set(_SPELLINGS) - set(found))
        raise InputError(
            f"image folder {images} has splits, but none named {lacking}; give it all of "
            f"{', '.join(_SPELLINGS)}, or name a folder of classes"
        )
    classes = {split: set(classes_of(folder)) for split, folder in found.items()}
    for split, names in classes.items():
        if names != classes["train"]:
            odd = ", ".join(sorted(names ^ classes["train"])[:5])
            raise InputError(f"image folder {images}: train and {split} differ in classes: {odd}")
    return found


def shares(count: int, parts: Sequence[float]) -> list[int]:
    """Divide a number of things by shares, at least one to each.

    >>> shares(10, (0.7, 0.1, 0.2))
    [7, 1, 2]
    >>> shares(3, (0.7, 0.1, 0.2))
    [1, 1, 1]

    Raises:
        InputError: If a share is not above 0, or they are more than 1 in sum.
    """
    if min(parts) <= 0 or sum(parts) > 1 + 1e-9:
        raise InputError(f"shares of splits {tuple(parts)}; each must be above 0, their sum 1")
    later = [max(1, round(count * part)) for part in parts[1:]]
    rest = count - sum(later)
    return [rest if sum(parts) > 1 - 1e-9 else min(max(1, round(count * parts[0])), rest), *later]


def class_texts(
    classes: Sequence[str], names: Path | Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return what each class is called.

    Args:
        classes: Names of the classes' folders.
        names: Names of some, or a JSON or CSV file of them; the rest keep the folder's.

    Raises:
        InputError: If the file cannot be read, or two classes are called the same.
    """
    given = named_values(names, "names") if isinstance(names, Path) else dict(names or {})
    texts = {name: " ".join(given.get(name, name).replace("_", " ").split()) for name in classes}
    known: dict[str, str] = {}
    for name, text in texts.items():
        if not text:
            raise InputError(f"class {name!r} has an empty name; give it one")
        plain = text.casefold()
        if plain in known:
            raise InputError(
                f"classes {known[plain]!r} and {name!r} are both called {text!r}; give them "
                "different names"
            )
        known[plain] = name
    return texts


def named_values(path: Path, what: str) -> dict[str, str]:
    """Read a JSON or CSV file with a text for each class.

    Args:
        path: JSON ``{class: text}``, or a CSV with the columns class and name.
        what: What the texts are, for messages.

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
    """Return the first column's texts by the second's, with or without a header."""
    try:
        scan = Scan(decode(content_of(path)), ("class", "name"))
    except TableError as error:
        raise InputError(f"{how} ({error})") from error
    rows = [] if scan.header[:1] == ["class"] else [Line(scan.header_line, scan.header)]
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
