"""The site's data files: scripts that each store one packed value under its name.

A page opened from a disk cannot fetch data, but it can load scripts. The values are JSON,
compressed by gzip, which browsers unpack (``DecompressionStream``), and encoded in base64.
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
from leaderboard.neuron_tables import NeuronTable
from milannotations.page import as_json
from milannotations.untrusted_text import clean, clip

CHUNK = 200  # neurons in one file of texts
LEVELS = 1000  # steps into which the range of a metric's values on a split is divided
FIRST = 0x100  # the character that stands for no step; all take two bytes in UTF-8
MAX_SHOWN = 280  # characters of a text on the site; downloads hold the whole text


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
    folder: Path, table: NeuronTable, main: str | None, pictures: Mapping[int, Any]
) -> None:
    """Write the data files of a split.

    Args:
        folder: The folder to write them to.
        table: The split's neurons.
        main: Metric whose values are shown beside descriptions; None if no method has one here.
        pictures: The layout of a neuron's picture, by the neuron's index, for those that have one.
    """
    base = f"split-{table.number}"
    index = {
        "groups": [
            [
                clean(layer.model),
                clean(layer.dataset),
                clean(layer.layer),
                [key.unit for key in table.keys[layer.start : layer.stop]],
            ]
            for layer in table.layers
        ],
        "methods": [at for at, method in enumerate(table.methods) if method is not None],
        "metrics": [clean(metric) for metric in table.metrics],
    }
    write_data(folder, f"{base}/index", index)
    scales = {metric: _scale(table, metric) for metric in table.metrics}
    main_values: list[str | None] = []
    for at, method in enumerate(table.methods):
        values = {} if method is None else method.values
        steps = {metric: quantize(own, *scales[metric]) for metric, own in values.items()}
        main_values.append(steps.get(main or ""))
        if steps:
            packed = {
                clean(metric): {"low": scales[metric][0], "step": scales[metric][1], "at": text}
                for metric, text in steps.items()
            }
            write_data(folder, f"{base}/values-{at}", packed)
    for number, start in enumerate(range(0, len(table.keys), CHUNK)):
        chunk = range(start, min(start + CHUNK, len(table.keys)))
        words = _words(table, main_values, chunk)
        words["scale"] = scales.get(main or "")
        words["pictures"] = {str(at - start): pictures[at] for at in chunk if at in pictures}
        write_data(folder, f"{base}/words-{number}", words)


def quantize(values: Floats, low: float, step: float) -> str:
    """Encode each value as one character: the number of steps by which it exceeds ``low``.

    ``-`` stands for NaN, and the character with the code ``FIRST`` for no step. Compressed by gzip,
    such a text is a third smaller than a list of numbers, and it is read faster.

    >>> [ord(c) - FIRST for c in quantize(np.array([0.5, 1.0]), 0.0, 0.001)]
    [500, 1000]
    >>> quantize(np.array([np.nan]), 0.0, 0.001)
    '-'
    """
    steps = np.rint((values - low) / step)
    return "".join("-" if np.isnan(s) else chr(FIRST + int(s)) for s in steps.tolist())


def _scale(table: NeuronTable, metric: str) -> tuple[float, float]:
    """Return the least value of a metric on a split, and the size of a step above it."""
    methods = (method for method in table.methods if method is not None)
    values = [method.values[metric] for method in methods if metric in method.values]
    present = np.concatenate(values) if values else np.zeros(0)
    present = present[~np.isnan(present)]
    if not len(present) or present.max() == present.min():
        return (float(present[0]) if len(present) else 0.0), 1.0
    low = float(present.min())
    return low, float(present.max() - low) / LEVELS


def _words(table: NeuronTable, values: Sequence[str | None], chunk: range) -> dict[str, Any]:
    """Return the texts on some neurons; gzip compresses well what occurs repeatedly."""

    def shown(text: str | None) -> str | None:
        return None if text is None else clip(clean(text, 2 * MAX_SHOWN), MAX_SHOWN)

    neurons = slice(chunk.start, chunk.stop)
    return {
        "said": [
            None if method is None else [shown(text) for text in method.texts[neurons]]
            for method in table.methods
        ],
        "references": [[shown(text) for text in texts] for texts in table.references[neurons]],
        "values": [None if own is None else own[neurons] for own in values],
    }
