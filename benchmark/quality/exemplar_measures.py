"""Measures of exemplars: masks, sizes, repetitions. Records are read one at a time.

Near-duplicates are found by a difference hash of 64 bits ("dHash": N. Krawetz, Kind of Like
That, The Hacker Factor Blog, 2013): the grey image is resized to 9 × 8, and each bit says whether
a pixel is brighter than its left neighbour.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from PIL import Image

from benchmark.quality.schema import COVERAGE_BINS, EXAMPLES, ExemplarMeasures, Finding
from milannotations.pictures import UnreadableImageError, opened
from milannotations.record import NeuronKey, encoded_records, key_of

# Two images are near-duplicates if at most this many of the 64 bits differ. Krawetz takes up to 10
# for variations of one image; the exemplars of a neuron resemble each other anyway, so this is
# stricter. On the demo's scenes and photographs it finds over 95 % of copies that were compressed
# or halved in size, over 90 % of those that were both, and 1 in 10,000 pairs of different images.
NEAR = 4

# Findings: the title, and the unit in which they are counted.
FINDINGS = {
    "unreadable": ("cannot be read", "images and masks"),
    "uneven": ("images, masks, ids and activations differ in number", "neurons"),
    "empty_masks": ("mask covers nothing", "masks"),
    "full_masks": ("mask covers everything", "masks"),
    "repeated_ids": ("image id occurs twice in a neuron", "neurons"),
    "near_duplicates": ("near-duplicate exemplars in a neuron", "pairs"),
    "not_descending": ("activations not descending", "neurons"),
}
_COLUMNS = (*NeuronKey._fields, "images", "masks", "activations", "image_ids")
# Not all formats of Pillow, some of which start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MAX_SIZES = 10  # in a report
_BATCH = 16  # records
_THREADS = 8


class InspectedRecord(NamedTuple):
    """The measures of one record.

    Attributes:
        exemplars: Number of exemplars.
        images: Number of readable images.
        masks: Covered share of each readable mask.
        sizes: Width and height of images, or of masks if there are no images.
        pairs: Number of pairs of images that were compared.
        findings: Number of occurrences of each finding.
    """

    exemplars: int
    images: int
    masks: list[float]
    sizes: list[tuple[int, int]]
    pairs: int
    findings: dict[str, int]


class ExemplarSums:
    """Sums over the records of one scope."""

    def __init__(self) -> None:
        self._neurons = self._images = self._masks = self._pairs = 0
        self._per_neuron: Counter[int] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._covered = 0.0
        self._coverage = np.zeros(COVERAGE_BINS, dtype=np.int64)
        self._findings = {name: Finding() for name in FINDINGS}

    def add(self, key: NeuronKey, record: InspectedRecord) -> None:
        """Add a record; a record without exemplars is ignored."""
        if not record.exemplars:
            return
        self._neurons += 1
        self._per_neuron[record.exemplars] += 1
        self._images += record.images
        self._masks += len(record.masks)
        self._pairs += record.pairs
        self._sizes.update(record.sizes)
        self._covered += sum(record.masks)
        self._coverage += np.histogram(record.masks, COVERAGE_BINS, (0.0, 1.0))[0]
        for name, count in record.findings.items():
            finding = self._findings[name]
            finding.count += count
            finding.neurons += 1
            if len(finding.examples) < EXAMPLES:
                finding.examples.append(key)

    def result(self) -> ExemplarMeasures | None:
        """Return the measures; None if no record had exemplars."""
        if not self._neurons:
            return None
        common = self._sizes.most_common(_MAX_SIZES)
        return ExemplarMeasures(
            neurons=self._neurons,
            per_neuron=dict(sorted(self._per_neuron.items())),
            images=self._images,
            masks=self._masks,
            sizes={f"{width} × {height}": number for (width, height), number in common},
            other_sizes=self._sizes.total() - sum(number for _, number in common),
            covered=self._covered / self._masks if self._masks else None,
            coverage=self._coverage.tolist(),
            pairs=self._pairs,
            findings=self._findings,
        )


def inspect_all(
    neurons: Dataset,
    sums_of: Callable[[NeuronKey], Sequence[ExemplarSums]],
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Inspect the exemplars of all neurons, in threads.

    Args:
        neurons: Records; their images and masks are decoded batch by batch.
        sums_of: Returns the sums to which a neuron is added.
        advance: Called after each batch with its number of records.
    """
    records = encoded_records(neurons, _COLUMNS)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while batch := list(islice(records, _BATCH)):
            for record, inspected in zip(batch, pool.map(inspect_record, batch), strict=True):
                key = key_of(record)
                for sums in sums_of(key):
                    sums.add(key, inspected)
            advance(len(batch))


def inspect_record(record: Mapping[str, Any]) -> InspectedRecord:
    """Measure one record with encoded images and masks, as returned by ``encoded_records``."""
    images, masks, ids, activations = (
        record[name] or [] for name in ("images", "masks", "image_ids", "activations")
    )
    findings: Counter[str] = Counter()
    image_sizes, hashes = [], []
    for position, encoded in enumerate(images):
        image = _decode(encoded)
        if image is None:
            findings["unreadable"] += 1
            continue
        image_sizes.append(image.size)
        hashes.append((difference_hash(image), ids[position] if position < len(ids) else None))
    mask_sizes, covered = [], []
    for encoded in masks:
        mask = _decode(encoded)
        if mask is None:
            findings["unreadable"] += 1
            continue
        mask_sizes.append(mask.size)
        covered.append(_covered(mask))
    findings["empty_masks"] = sum(share == 0 for share in covered)
    findings["full_masks"] = sum(share == 1 for share in covered)
    lengths = {len(column) for column in (images, masks, ids, activations) if column}
    findings["uneven"] = int(len(lengths) > 1)
    findings["repeated_ids"] = int(len(set(ids)) < len(ids))
    # A comparison with NaN is false, so activations with NaN are not descending.
    findings["not_descending"] = int(
        not all(a is not None and b is not None and a >= b for a, b in pairwise(activations))
    )
    pairs = 0
    for (first, first_id), (second, second_id) in combinations(hashes, 2):
        if first_id is not None and first_id == second_id:
            continue  # the same image, which is reported under "repeated_ids"
        pairs += 1
        findings["near_duplicates"] += (first ^ second).bit_count() <= NEAR
    return InspectedRecord(
        exemplars=max(lengths, default=0),
        images=len(image_sizes),
        masks=covered,
        sizes=image_sizes or mask_sizes,
        pairs=pairs,
        findings={name: number for name, number in findings.items() if number},
    )


def difference_hash(image: Image.Image) -> int:
    """Return the difference hash of an image, 64 bits.

    >>> difference_hash(Image.new("RGB", (32, 32)))
    0
    """
    pixels = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS))
    return int.from_bytes(np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes(), "big")


def _decode(encoded: Mapping[str, Any] | None) -> Image.Image | None:
    """Return a decoded image; None if it cannot be decoded."""
    if not encoded:
        return None
    data, path = encoded.get("bytes"), encoded.get("path")
    try:
        if data is None and path and Path(path).is_file():  # reading a pipe would wait forever
            data = Path(path).read_bytes()
        with opened(data or b"", formats=_FORMATS) as image:
            image.load()
            return image
    except (OSError, UnreadableImageError):
        return None


def _covered(mask: Image.Image) -> float:
    histogram = mask.convert("L").histogram()
    return sum(histogram[128:]) / sum(histogram)
