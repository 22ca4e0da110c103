"""The gallery: what a few neurons look like, and what every method said of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset

from leaderboard.board import Board
from leaderboard.profiles import address
from leaderboard.tables import SplitTable
from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey
from milannotations.viewer.sheets import draw_sheet

Advance = Callable[[int], object]
GALLERY_SIZE = 48  # neurons on the first page, of all splits
SAID = 8  # descriptions on a card; the neuron's own page has all of them
TILES = 9  # exemplars per neuron
TILE_SIZE = 112  # pixels; three side by side fill a card


@dataclass(frozen=True)
class Sheet:
    """A neuron's exemplars as one picture, and what darkens them outside the masks.

    Attributes:
        image: A JPEG of ``rows`` × ``columns`` tiles.
        overlay: A PNG of the same size, laid over it.
        columns: Tiles per row.
        rows: Rows; no row is incomplete.
        tile: Side of a tile in pixels.
    """

    image: bytes
    overlay: bytes
    columns: int
    rows: int
    tile: int = TILE_SIZE


@dataclass(frozen=True)
class Said:
    """What one method said of a neuron; ``value`` is that neuron's own score, if it has one."""

    method: str
    kind: Literal["method", "control", "human"]
    text: str
    value: float | None


@dataclass(frozen=True)
class Card:
    """One neuron of the gallery.

    ``sheet`` says how its picture is laid out and where it is; None if its source images are not
    attached. ``said`` has the first ``SAID`` methods of the board that describe it, and ``more``
    is how many others do. ``address`` is what follows ``neuron.html#``.
    """

    split: str
    key: NeuronKey
    sheet: Mapping[str, Any] | None
    references: tuple[str, ...]
    said: tuple[Said, ...]
    more: int
    address: str


def pick(keys: Sequence[NeuronKey], size: int, seed: int = 0) -> list[int]:
    """Choose neurons at random, in turn from every layer, so that all layers are seen.

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
    generator.shuffle(queues)  # with more layers than places, chance decides which are seen
    chosen: list[int] = []
    for turn in range(max(map(len, queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
        if len(chosen) >= size:
            break
    return sorted(chosen[:size])


def share(total: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """Share places among splits: all get as many, but none more than it has neurons.

    Args:
        total: Places in all.
        sizes: Neurons of each split.

    >>> share(10, {0: 2, 1: 100, 2: 100})
    {0: 2, 1: 4, 2: 4}
    """
    shares = dict.fromkeys(sizes, 0)
    order = sorted(sizes, key=lambda split: sizes[split])
    for at, split in enumerate(order):
        shares[split] = min(sizes[split], total // (len(order) - at))
        total -= shares[split]
    return shares


def contact_sheet(record: Mapping[str, Any], tile: int = TILE_SIZE) -> Sheet | None:
    """Lay out a neuron's strongest exemplars; None if its source images are not attached.

    Args:
        record: A decoded neuron record with k images and masks.
        tile: Side of a tile in pixels; images that are not square are cropped to their middle.
    """
    count = min(TILES, len(record["images"]), len(record["masks"]))
    if count == 0:
        return None
    if count > 3:
        count -= count % 3  # full rows only: a JPEG cannot be transparent where a tile lacks
    drawn = draw_sheet(record["images"][:count], record["masks"][:count], min(3, count), tile)
    assert drawn.image and drawn.overlay  # there are images and masks
    return Sheet(
        image=drawn.image,
        overlay=drawn.overlay,
        columns=drawn.columns,
        rows=drawn.rows,
        tile=tile,
    )


def check_neurons(tables: Sequence[SplitTable], neurons: Mapping[str, Dataset]) -> None:
    """Look whether the data sets are those of the board's splits.

    Raises:
        InputError: If no result has a split, or none of its neurons.
    """
    by_name = {table.name: table for table in tables}
    for split, dataset in neurons.items():
        if split not in by_name:
            hint = did_you_mean(split, by_name)
            raise InputError(f"no result has the split {split!r}{hint}")
        if not any(row >= 0 for row in by_name[split].rows):
            raise InputError(
                f"none of the {len(dataset)} neurons given for split {split!r} is in any result; "
                "are they the neurons that were scored?"
            )


def choose_pictures(tables: Sequence[SplitTable], size: int, seed: int = 0) -> dict[int, list[int]]:
    """Return for each split's number the places of neurons to show, ``size`` in all.

    They come from every layer in turn (see ``pick``); a smaller size chooses some of a larger one's
    with the same seed.

    Raises:
        InputError: If the size is negative.
    """
    if size < 0:
        raise InputError(f"{size} neurons are to be shown; it must be 0 or more")
    with_data = {
        table.number: [at for at, row in enumerate(table.rows) if row >= 0] for table in tables
    }
    shares = share(size, {number: len(places) for number, places in with_data.items()})
    chosen = {}
    for table in tables:
        places = with_data[table.number]
        keys = [table.keys[at] for at in places]
        chosen[table.number] = [places[i] for i in pick(keys, shares[table.number], seed)]
    return chosen


def draw_pictures(
    table: SplitTable, dataset: Dataset, places: Sequence[int], folder: Path, advance: Advance
) -> dict[int, dict[str, Any]]:
    """Draw neurons' exemplars into files.

    Args:
        table: The split.
        dataset: Its neurons.
        places: Which of them, by their place in the table.
        folder: The site's folder.
        advance: Called after each.

    Returns:
        For each that has images, how its picture is laid out and where it is.
    """
    found = {}
    where = f"pictures/split-{table.number}"
    records = dataset.with_format(None).select([table.rows[at] for at in places])
    for at, record in zip(places, records, strict=True):
        sheet = contact_sheet(record)
        advance(1)
        if sheet is None:
            continue
        (folder / where).mkdir(parents=True, exist_ok=True)
        for name, data in ((f"{at}.jpg", sheet.image), (f"{at}.png", sheet.overlay)):
            (folder / where / name).write_bytes(data)
        found[at] = {
            "image": f"{where}/{at}.jpg", "overlay": f"{where}/{at}.png",
            "columns": sheet.columns, "rows": sheet.rows, "tile": sheet.tile,
        }  # fmt: skip
    return found


def build_gallery(
    board: Board,
    tables: Sequence[SplitTable],
    metric: str,
    pictures: Mapping[int, Mapping[int, Mapping[str, Any]]],
    size: int = GALLERY_SIZE,
    seed: int = 0,
) -> list[Card]:
    """Choose neurons of every split and gather what was said of them.

    Args:
        board: Gives the order of the methods.
        tables: The splits; of those whose neurons are known, cards are made.
        metric: Whose per-neuron values to show. A value is shown only if the method's score
            stands in the split's first column of this metric, so that values on one card can
            be compared.
        pictures: What ``draw_pictures`` gave, by the split's number.
        size: Neurons in all.
        seed: Of the choice.
    """
    cards: list[Card] = []
    methods = [row.method for row in board.rows]
    chosen = choose_pictures(tables, size, seed)
    for table in tables:
        values = table.values.get(metric, [None] * len(methods))
        for at in chosen[table.number]:
            said: list[Said] = []
            more = 0
            for method, texts, own in zip(methods, table.texts, values, strict=True):
                text = None if texts is None else texts[at]
                if text is None:
                    continue
                if len(said) == SAID:
                    more += 1
                    continue
                value = None if own is None or np.isnan(own[at]) else float(own[at])
                said.append(Said(method.title, method.kind, text, value))
            key = table.keys[at]
            cards.append(
                Card(
                    table.name,
                    key,
                    pictures.get(table.number, {}).get(at),
                    table.references[at],
                    tuple(said),
                    more,
                    address(table.name, key),
                )
            )
    return cards
