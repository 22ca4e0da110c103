"""The gallery: which neurons the site shows with pictures, and what methods say of some of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset

from leaderboard.board import Board
from leaderboard.config import GALLERY_SIZE
from leaderboard.neuron_tables import NeuronTable
from leaderboard.profiles import address
from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey
from milannotations.viewer.sheets import DrawnSheet, draw_sheet

Advance = Callable[[int], object]
QUOTES = 8  # descriptions on a card; the neuron's own page shows all of them
TILES = 9  # exemplars per neuron
TILE_SIZE = 112  # pixels; three side by side fill a card


@dataclass(frozen=True)
class Quote:
    """One method's description of a neuron; ``value`` is the neuron's own score, if it has one."""

    method: str
    kind: Literal["method", "control", "human"]
    text: str
    value: float | None


@dataclass(frozen=True)
class GalleryCard:
    """One neuron of the gallery.

    Attributes:
        split: Name of the split.
        key: The neuron.
        sheet: Layout and paths of its picture; None if its source images are not attached.
        references: Its references.
        quotes: What the first ``QUOTES`` methods of the board that describe it say.
        more: How many further methods describe it.
        address: The part of its address after ``neuron.html#``.
    """

    split: str
    key: NeuronKey
    sheet: Mapping[str, Any] | None
    references: tuple[str, ...]
    quotes: tuple[Quote, ...]
    more: int
    address: str


def pick(keys: Sequence[NeuronKey], size: int, seed: int = 0) -> list[int]:
    """Choose neurons at random, taking turns among the layers, so that every layer is represented.

    Args:
        keys: The neurons to choose from.
        size: How many; all of them if there are fewer.
        seed: The same seed and keys give the same choice.

    Returns:
        Ascending indices into ``keys``.

    >>> keys = [NeuronKey("m", "d", layer, unit) for layer in "abc" for unit in range(9)]
    >>> [keys[index].layer for index in pick(keys, 6)]
    ['a', 'a', 'b', 'b', 'c', 'c']
    """
    generator = random.Random(seed)
    layers: dict[tuple[str, str, str], list[int]] = {}
    for index, key in enumerate(keys):
        layers.setdefault(key[:3], []).append(index)
    queues = list(layers.values())
    for queue in queues:
        generator.shuffle(queue)
    generator.shuffle(queues)  # with more layers than places, chance decides which are shown
    chosen: list[int] = []
    for turn in range(max(map(len, queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
        if len(chosen) >= size:
            break
    return sorted(chosen[:size])


def share(total: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """Divide places evenly among splits, giving no split more places than it has neurons.

    Args:
        total: Number of places.
        sizes: Number of neurons of each split.

    >>> share(10, {0: 2, 1: 100, 2: 100})
    {0: 2, 1: 4, 2: 4}
    """
    shares = dict.fromkeys(sizes, 0)
    order = sorted(sizes, key=lambda split: sizes[split])
    for at, split in enumerate(order):
        shares[split] = min(sizes[split], total // (len(order) - at))
        total -= shares[split]
    return shares


def contact_sheet(record: Mapping[str, Any], tile: int = TILE_SIZE) -> DrawnSheet | None:
    """Lay out a neuron's strongest exemplars in complete rows.

    Args:
        record: A decoded neuron record with k images and masks.
        tile: Side of a tile in pixels; images that are not square are cropped to their centre.

    Returns:
        The sheet, or None if the source images are not attached.
    """
    count = min(TILES, len(record["images"]), len(record["masks"]))
    if count == 0:
        return None
    if count > 3:
        count -= count % 3  # complete rows only: a JPEG cannot be transparent where a tile lacks
    return draw_sheet(record["images"][:count], record["masks"][:count], min(3, count), tile)


def check_neurons(tables: Sequence[NeuronTable], neurons: Mapping[str, Dataset]) -> None:
    """Check that the data sets are those of the board's splits.

    Raises:
        InputError: If no result has a split, or none has a neuron of its data set.
    """
    by_name = {table.name: table for table in tables}
    for split, dataset in neurons.items():
        if split not in by_name:
            hint = did_you_mean(split, by_name)
            raise InputError(f"no result has the split {split!r}{hint}")
        if not any(row >= 0 for row in by_name[split].dataset_rows):
            raise InputError(
                f"none of the {len(dataset)} neurons given for split {split!r} is in any result; "
                "are they the neurons that were scored?"
            )


def choose_pictures(
    tables: Sequence[NeuronTable], size: int, seed: int = 0
) -> dict[int, list[int]]:
    """Choose neurons of every split, taking turns among its layers (see ``pick``).

    With the same seed, a smaller size chooses a subset of what a larger one chooses.

    Args:
        tables: The splits.
        size: Number of neurons of all splits together.
        seed: Seed of the choice.

    Returns:
        Places of the chosen neurons, by the split's number.

    Raises:
        InputError: If the size is negative.
    """
    if size < 0:
        raise InputError(f"{size} neurons are to be shown; it must be 0 or more")
    with_data = {
        table.number: [index for index, row in enumerate(table.dataset_rows) if row >= 0]
        for table in tables
    }
    shares = share(size, {number: len(indices) for number, indices in with_data.items()})
    chosen = {}
    for table in tables:
        indices = with_data[table.number]
        keys = [table.keys[index] for index in indices]
        chosen[table.number] = [indices[i] for i in pick(keys, shares[table.number], seed)]
    return chosen


def draw_pictures(
    table: NeuronTable, dataset: Dataset, indices: Sequence[int], folder: Path, advance: Advance
) -> dict[int, dict[str, Any]]:
    """Draw neurons' exemplars into files.

    Args:
        table: The split.
        dataset: Its neurons.
        indices: Indices of the neurons in the table.
        folder: The site's folder.
        advance: Called after each.

    Returns:
        Layout and paths of the picture of each neuron that has images.
    """
    layouts = {}
    subfolder = f"pictures/split-{table.number}"
    records = dataset.with_format(None).select([table.dataset_rows[index] for index in indices])
    for index, record in zip(indices, records, strict=True):
        sheet = contact_sheet(record)
        advance(1)
        if sheet is None:
            continue
        assert sheet.image and sheet.overlay  # there are images and masks
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        image, overlay = f"{subfolder}/{index}.jpg", f"{subfolder}/{index}.png"
        (folder / image).write_bytes(sheet.image)
        (folder / overlay).write_bytes(sheet.overlay)
        layouts[index] = {
            "image": image,
            "overlay": overlay,
            "columns": sheet.columns,
            "rows": sheet.rows,
            "tile": TILE_SIZE,
        }
    return layouts


def build_gallery(
    board: Board,
    tables: Sequence[NeuronTable],
    metric: str,
    pictures: Mapping[int, Mapping[int, Mapping[str, Any]]],
    size: int = GALLERY_SIZE,
    seed: int = 0,
) -> list[GalleryCard]:
    """Choose neurons of every split, and quote what methods say of them.

    Args:
        board: Determines the order of the methods.
        tables: The splits; cards are made of those whose neurons are known.
        metric: Metric whose per-neuron values are shown. A value is shown only if the method's
            score stands in the split's first column of this metric, so that values on one card can
            be compared.
        pictures: What ``draw_pictures`` returned, by the split's number.
        size: Number of neurons of all splits together.
        seed: Seed of the choice.
    """
    cards: list[GalleryCard] = []
    chosen = choose_pictures(tables, size, seed)
    for table in tables:
        layouts = pictures.get(table.number, {})
        for index in chosen[table.number]:
            quotes = _quotes(board, table, index, metric)
            key = table.keys[index]
            cards.append(
                GalleryCard(
                    table.name,
                    key,
                    layouts.get(index),
                    table.references[index],
                    tuple(quotes[:QUOTES]),
                    len(quotes[QUOTES:]),
                    address(table.name, key),
                )
            )
    return cards


def _quotes(board: Board, table: NeuronTable, index: int, metric: str) -> list[Quote]:
    quotes = []
    for at, row in enumerate(board.rows):
        method = table.methods[at]
        text = None if method is None else method.texts[index]
        if text is None:
            continue
        values = table.values(at, metric)
        value = None if values is None or np.isnan(values[index]) else float(values[index])
        quotes.append(Quote(row.method.title, row.method.kind, text, value))
    return quotes
