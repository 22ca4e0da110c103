"""Whether a source can be the one whose images the exemplars' ids count.

A source with the same number of images in another order would attach wrong images without any sign
of it, so everything that can be checked is checked before the work starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from milannotations.attach.sources import ImageSource
from milannotations.catalog.releases import SourceImages
from milannotations.errors import InputError
from milannotations.rows import read_rows


def check_source(
    source: ImageSource,
    expected: SourceImages | None,
    needed_ids: Iterable[int],
    listing: Path | None = None,
) -> None:
    """Check that a source can be the one whose images the ids count.

    Args:
        source: The images.
        expected: What it has to be; None skips the checks of the numbers of images and classes.
        needed_ids: Indices that occur in the records.
        listing: CSV with the columns image_id and name, as ``milannotations build`` writes it;
            names are compared with as many folders as both have.

    Raises:
        InputError: Names the first mismatch.
    """
    if expected is not None:
        _check_classes(source, expected)
        if len(source) != expected.images:
            raise InputError(
                f"{source.title} has {len(source)} images, but {expected.title} has "
                f"{expected.images}{_allow()}"
            )
    ids = set(needed_ids)
    if ids and (min(ids) < 0 or max(ids) >= len(source)):
        wrong = min(ids) if min(ids) < 0 else max(ids)
        raise InputError(
            f"the records need image {wrong}, but {source.title} has {len(source)} images, counted "
            "from 0; it is not the source of these exemplars"
        )
    if listing is not None and listing.is_file() and source.has_names:
        _check_names(source, listing)


def _check_classes(source: ImageSource, expected: SourceImages) -> None:
    classes = source.classes
    if not classes:
        return
    if len(classes) != expected.folders:
        some = ", ".join([*classes][:3])
        raise InputError(
            f"{source.title} has {len(classes)} class folders ({some}{', …' * (len(classes) > 3)}) "
            f"with {len(source)} images, but {expected.title} has {expected.folders}; name the "
            f"folder that holds the class folders{_allow()}"
        )
    for name, count in classes.items():
        if count != expected.per_folder:
            hint = "; is it the training set?" if len(source) > 2 * expected.images else ""
            raise InputError(
                f"{source.title} has {len(source)} images, {count} of them in the class {name!r}, "
                f"but {expected.title} has {expected.images}, {expected.per_folder} in each class"
                f"{hint}{_allow()}"
            )


def _allow() -> str:
    return " (--allow-other-source attaches images from it all the same)"


def _check_names(source: ImageSource, listing: Path) -> None:
    columns = ("image_id", "name")
    rows = read_rows(listing, columns, columns)
    count = len(rows.lines)
    for index, (number, name) in enumerate(zip(*map(rows.column, columns), strict=True)):
        if number != str(index):
            raise InputError(
                f"{listing}, {rows.where(index)} is not image {index}; it needs the columns "
                "image_id, counting from 0, and name"
            )
        actual = source.name(index) if index < len(source) else None
        if actual is not None and not _same(name, actual):
            raise InputError(
                f"image {index} should be {name!r}, as {listing} says, but in "
                f"{source.title} it is {actual!r}; the images or their order are not those "
                "of these exemplars"
            )
    if count != len(source):
        raise InputError(
            f"{listing} lists {count} images, but {source.title} has {len(source)}; it is not the "
            "source of these exemplars"
        )


def _same(first: str, second: str) -> bool:
    """Return whether two names are the same, where one of them may lack outer folders."""
    return first == second or first.endswith(f"/{second}") or second.endswith(f"/{first}")
