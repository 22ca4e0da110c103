"""The files of one layer: a list of its units, the units' facts in several files, and pictures.

A page opened from a disk cannot fetch data, but it can load scripts. Each data file is therefore a
script that only stores a value under the file's name in one object, ``milannotations``.

``list.js`` holds what sorting needs, and ``words.js`` what searching needs; both cover the whole
layer and are loaded only when it is shown or searched. ``facts-<n>.js`` holds everything else about
16 units.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset
from PIL import Image as PILImage

from milannotations.defaults import IMAGE_FORMATS
from milannotations.errors import InputError
from milannotations.page import as_json
from milannotations.pictures import UnreadableImageError, opened
from milannotations.record import FEATURES, NeuronKey, encoded_records, key_of
from milannotations.storage import atomic_path
from milannotations.untrusted_text import clean
from milannotations.viewer.choice import Layer
from milannotations.viewer.facts import Descriptions, Statistics, tidy
from milannotations.viewer.sheets import draw_sheet

UNITS_PER_FILE = 16
TILE = 112  # pixels: half an exemplar's side, to which JPEG decoders scale for free
MAX_TILES = 30
_AHEAD = 2  # files of facts whose pictures may be in progress; this bounds the memory
_WORDS = [name for name in FEATURES if name not in ("images", "masks")]


class Extras(NamedTuple):
    """Facts about the neurons that are not in their records."""

    statistics: Statistics
    names: Mapping[int, str]
    descriptions: Descriptions


class _Waiting(NamedTuple):
    """Units whose pictures are being drawn."""

    number: int
    records: list[dict[str, Any]]
    sheets: list[Future[dict[str, Any]]]


def write_layer(
    folder: Path,
    layer: Layer,
    neurons: Dataset,
    extras: Extras,
    pool: ThreadPoolExecutor,
    advance: Callable[[int], object],
) -> None:
    """Write a layer's files, skipping those that an interrupted run has finished.

    Args:
        folder: The layer's folder, which is made if needed.
        layer: The layer to write.
        neurons: The whole dataset.
        extras: Facts that are not in the records.
        pool: Threads that draw the pictures.
        advance: Called with the number of newly finished units.

    Raises:
        InputError: If an image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    peaks: list[float | None] = []
    thresholds: list[float | None] = []
    words: list[str] = []
    waiting: deque[_Waiting] = deque()

    def finish() -> None:
        """Write facts after their pictures, so that a file of facts implies its pictures."""
        number, records, sheets = waiting.popleft()
        facts = [
            {**_facts(record, extras), **sheet.result()}
            for record, sheet in zip(records, sheets, strict=True)
        ]
        _write(folder, _facts_name(number), facts)
        advance(len(records))

    for number, first in enumerate(range(0, len(layer.rows), UNITS_PER_FILE)):
        shown = neurons.select(layer.rows[first : first + UNITS_PER_FILE])
        done = (folder / f"{_facts_name(number)}.js").is_file()
        records = list(encoded_records(shown, _WORDS if done else None))
        for record in records:
            peaks.append(tidy(max(record["activations"] or [None])))
            thresholds.append(tidy(record["threshold"]))
            words.append("\n".join(_words(record, extras)))
        if done:
            advance(len(records))
            continue
        sheets = [pool.submit(_draw, record, folder) for record in records]
        waiting.append(_Waiting(number, records, sheets))
        if len(waiting) > _AHEAD:
            finish()
    while waiting:
        finish()
    _write(folder, "words", words)
    _write(folder, "list", {"units": layer.units, "peaks": peaks, "thresholds": thresholds})


def _facts_name(number: int) -> str:
    return f"facts-{number:04d}"


def _facts(record: Mapping[str, Any], extras: Extras) -> dict[str, Any]:
    """Return what a card shows in addition to pictures, with texts made safe to show."""
    key = key_of(record)
    ids = record["image_ids"] or []
    names = [clean(extras.names.get(index, "")) for index in ids]
    return {
        "peaks": [tidy(value) for value in record["activations"] or []],
        "threshold": tidy(record["threshold"]),
        "ids": ids,
        "names": names if any(names) else [],
        "statistics": extras.statistics.of(key),
        "annotations": [clean(text) for text in record["annotations"] or [] if text],
        "said": [(number, clean(text)) for number, text in extras.descriptions.of(key)],
    }


def _words(record: Mapping[str, Any], extras: Extras) -> list[str]:
    """Return the texts that a search covers."""
    texts = (text for _, text in extras.descriptions.of(key_of(record)))
    return [clean(text) for text in (*(record["annotations"] or ()), *texts) if text]


def _draw(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write a unit's pictures; return their layout and which of them exist."""
    key = key_of(record)
    images, masks = (record[name] or [] for name in ("images", "masks"))
    if images and masks and len(images) != len(masks):
        raise InputError(f"{key} has {len(images)} images, but {len(masks)} masks")
    count = min(max(len(images), len(masks)), MAX_TILES)
    if not count:
        return {"sheet": None}
    sheet = draw_sheet(
        [_opened(image, key, "image", at) for at, image in enumerate(images[:count])],
        [_opened(mask, key, "mask", at) for at, mask in enumerate(masks[:count])],
        columns_for(count),
        TILE,
    )
    # Not atomically: the facts, which are written later, show that these files are complete.
    for picture, name in ((sheet.image, "jpg"), (sheet.overlay, "png")):
        if picture is not None:
            (folder / f"{key.unit}.{name}").write_bytes(picture)
    return {
        "sheet": {
            "columns": sheet.columns,
            "rows": sheet.rows,
            "count": sheet.count,
            "image": sheet.image is not None,
            "overlay": sheet.overlay is not None,
        }
    }


def columns_for(count: int) -> int:
    """Return how many tiles to put in a row, so that few places stay empty.

    >>> [columns_for(count) for count in (1, 6, 9, 12, 15, 16)]
    [1, 3, 3, 4, 5, 4]
    """
    if count in (6, 9):
        return 3
    return 4 if count % 4 == 0 and count % 5 else min(count, 5)


def _opened(encoded: Mapping[str, Any], key: NeuronKey, what: str, at: int) -> PILImage.Image:
    """Decode an exemplar or mask, at a reduced size if its format allows that."""
    if encoded is None or encoded.get("bytes") is None:
        raise InputError(f"{key}: {what} {at} is not in the dataset, only its name")
    try:
        with opened(encoded["bytes"], f"{what} {at}", [*IMAGE_FORMATS]) as picture:
            picture.draft("RGB" if what == "image" else None, (TILE, TILE))
            picture.load()
            return picture
    except UnreadableImageError as error:
        raise InputError(f"{key}: {error}") from error


def _write(folder: Path, name: str, value: Sequence[Any] | Mapping[str, Any]) -> None:
    """Write a script that only stores a value under its name."""
    address = as_json(f"{folder.name}/{name}")
    with atomic_path(folder / f"{name}.js") as path:
        text = f"(globalThis.milannotations ??= {{}})[{address}] = {as_json(value)};\n"
        path.write_bytes(text.encode("ascii"))
