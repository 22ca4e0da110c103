"""The site's data files: scripts that put one packed value under its name.

A page from a disk cannot fetch data, but it can load scripts. What they hold is JSON, compressed by
gzip, which browsers unpack (``DecompressionStream``), in base64, which a script can hold.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.metrics.base import Floats
from leaderboard.tables import SplitTable
from milannotations.page import as_json
from milannotations.untrusted_text import clean, clip

CHUNK = 200  # neurons in one file of words
LEVELS = 1000  # that a value is rounded to, of its metric's range on the split
FIRST = 0x100  # character of a value's least step; all are of two bytes
MAX_SHOWN = 280  # characters of a text on the site; downloads have all of it


def write_data(folder: Path, name: str, value: Any) -> None:
    """Write one data file, ``<name>.js``, below a folder."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")
    path = folder / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        f'(globalThis.milannotations ??= {{}})[{as_json(name)}] = "{packed}";\n'.encode("ascii")
    )


def write_split(
    folder: Path, table: SplitTable, main: str | None, pictures: Mapping[int, Any]
) -> None:
    """Write the data files of a split.

    Args:
        folder: Where they go.
        table: The split.
        main: Metric whose values stand beside words; None if no method has one here.
        pictures: How a neuron's picture is laid out, by its place, for those that have one.
    """
    base = f"split-{table.number}"
    write_data(
        folder,
        f"{base}/index",
        {
            "groups": [
                [clean(g.model), clean(g.dataset), clean(g.layer),
                 [key.unit for key in table.keys[g.start : g.stop]]]
                for g in table.groups
            ],
            "methods": [at for at, texts in enumerate(table.texts) if texts is not None],
            "metrics": [clean(metric) for metric in table.values],
        },
    )  # fmt: skip
    scales = {metric: _scale(values) for metric, values in table.values.items()}
    quantized = {
        metric: [None if v is None else quantize(v, *scales[metric]) for v in values]
        for metric, values in table.values.items()
    }
    for at in range(len(table.texts)):
        found = {
            clean(metric): {"low": scales[metric][0], "step": scales[metric][1], "at": values[at]}
            for metric, values in quantized.items()
            if values[at] is not None
        }
        if found:
            write_data(folder, f"{base}/values-{at}", found)
    shown = quantized.get(main or "", [None] * len(table.texts))
    for number, start in enumerate(range(0, len(table.keys), CHUNK)):
        stop = min(start + CHUNK, len(table.keys))
        write_data(
            folder,
            f"{base}/words-{number}",
            _words(table, shown, scales.get(main or ""), start, stop, pictures),
        )


def quantize(values: Floats, low: float, step: float) -> str:
    """Return how many steps above ``low`` each value is, as one character a value.

    ``-`` stands for NaN, and the letter of the number ``FIRST`` for no step: such a text takes gzip
    a third less than a list of numbers, and is read faster.

    >>> [ord(c) - FIRST for c in quantize(np.array([0.5, 1.0]), 0.0, 0.001)]
    [500, 1000]
    >>> quantize(np.array([np.nan]), 0.0, 0.001)
    '-'
    """
    steps = np.rint((values - low) / step)
    return "".join("-" if np.isnan(s) else chr(FIRST + int(s)) for s in steps.tolist())


def _scale(values: Sequence[Floats | None]) -> tuple[float, float]:
    present = [v[~np.isnan(v)] for v in values if v is not None]
    every = np.concatenate(present) if present else np.zeros(0)
    if not len(every) or every.max() == every.min():
        return (float(every[0]) if len(every) else 0.0), 1.0
    low = float(every.min())
    return low, float(every.max() - low) / LEVELS


def _words(
    table: SplitTable,
    values: Sequence[str | None],
    scale: tuple[float, float] | None,
    start: int,
    stop: int,
    pictures: Mapping[int, Any],
) -> dict[str, Any]:
    """Return the words of some neurons; gzip makes little of those that occur again."""

    def shown(text: str | None) -> str | None:
        return None if text is None else clip(clean(text, 2 * MAX_SHOWN), MAX_SHOWN)

    return {
        "said": [
            None if texts is None else [shown(text) for text in texts[start:stop]]
            for texts in table.texts
        ],
        "references": [[shown(text) for text in one] for one in table.references[start:stop]],
        "values": [None if own is None else own[start:stop] for own in values],
        "scale": scale,
        "pictures": {str(at - start): pictures[at] for at in range(start, stop) if at in pictures},
    }
