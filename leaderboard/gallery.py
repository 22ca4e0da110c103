"""The gallery: what a few neurons look like, and what every method said of them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from datasets import Dataset

from leaderboard.board import Board, LoadedResult
from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey, key_of, keys_of
from milannotations.viewer.sheets import data_uri, draw_sheet

GALLERY_SIZE = 24  # neurons per split
TILES = 9  # exemplars per neuron
TILE_SIZE = 128  # pixels; three side by side fill a card


@dataclass(frozen=True)
class Sheet:
    """A neuron's exemplars as one picture, and what darkens them outside the masks.

    Attributes:
        image: Data URI of a JPEG of ``rows`` × ``columns`` tiles.
        overlay: Data URI of a PNG of the same size, laid over it.
        columns: Tiles per row.
        rows: Rows; no row is incomplete.
        tile: Side of a tile in pixels.
    """

    image: str
    overlay: str
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
    """One neuron of the gallery; ``sheet`` is None if its source images are not attached."""

    split: str
    key: NeuronKey
    sheet: Sheet | None
    references: tuple[str, ...]
    said: tuple[Said, ...]


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
    if size < 0:
        raise InputError(f"gallery size is {size}; it must be 0 or more")
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
        image=data_uri(drawn.image, "image/jpeg"),
        overlay=data_uri(drawn.overlay, "image/png"),
        columns=drawn.columns,
        rows=drawn.rows,
        tile=tile,
    )


def build_gallery(
    board: Board,
    results: Sequence[LoadedResult],
    neurons: Mapping[str, Dataset],
    metric: str,
    size: int = GALLERY_SIZE,
    seed: int = 0,
) -> list[Card]:
    """Choose neurons of every split and gather what was said of them.

    Args:
        board: Gives the order of the methods.
        results: The results the board was built from.
        neurons: Data set of each split to show, by split name.
        metric: Whose per-neuron values to show. A value is shown only if the method's score
            stands in the split's first column of this metric, so that values on one card can
            be compared.
        size: Neurons per split.
        seed: Of the choice.

    Raises:
        InputError: If no result has a split, or none of its neurons.
    """
    by_name = {loaded.method.name: loaded for loaded in results}
    cards: list[Card] = []
    for split, dataset in neurons.items():
        if split not in board.splits:
            hint = did_you_mean(split, board.splits)
            raise InputError(f"no result has the split {split!r}{hint}")
        column = board.column_of(split, metric)
        tables = {}
        for row in board.rows:
            comparable = column is not None and row.cells[column] is not None
            loaded = by_name[row.method.name]
            tables[row.method.name] = _said(loaded, split, metric if comparable else None)
        keys = keys_of(dataset)
        described = [i for i, key in enumerate(keys) if any(key in t for t in tables.values())]
        if not described:
            raise InputError(
                f"none of the {len(keys)} neurons given for split {split!r} is in any result; "
                "are they the neurons that were scored?"
            )
        chosen = [described[i] for i in pick([keys[i] for i in described], size, seed)]
        for record in dataset.with_format(None).select(chosen):
            key = key_of(record)
            said = [tables[row.method.name].get(key) for row in board.rows]
            cards.append(
                Card(
                    split,
                    key,
                    contact_sheet(record),
                    tuple(record["annotations"]),
                    tuple(line for line in said if line is not None),
                )
            )
    return cards


def _said(loaded: LoadedResult, split: str, metric: str | None) -> dict[NeuronKey, Said]:
    """Return what a method said of each neuron of a split, with the metric's value if given."""
    table = loaded.per_neuron[loaded.per_neuron["split"] == split]
    values: Sequence[Any] = [None] * len(table)
    if metric is not None and metric in table.columns:
        values = table[metric].tolist()
    texts = table["description"].tolist()
    keys = zip(*(table[name].tolist() for name in NeuronKey._fields), strict=True)
    method = loaded.method
    try:
        return {
            NeuronKey(str(m), str(d), str(layer), int(unit)): Said(
                method.title, method.kind, text if isinstance(text, str) else "", _number(value)
            )
            for (m, d, layer, unit), text, value in zip(keys, texts, values, strict=True)
        }
    except (TypeError, ValueError) as error:
        path = loaded.path.with_suffix(".per_neuron.parquet")
        raise InputError(f"{path}: units and values must be numbers: {error}") from error


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
