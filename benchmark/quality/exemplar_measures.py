"""What exemplars are like: masks, sizes, repetitions. One record at a time, so memory stays flat.

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

# Differing bits of 64 up to which two images count as near-duplicates. Krawetz calls up to 10
# variations of one image; the exemplars of a neuron look alike by nature, so this is stricter.
# On the demo's scenes and photographs it finds over 95 % of copies that were compressed or halved
# in size, over 90 % of those that were both, and 1 in 10,000 pairs of different ones (tested).
NEAR = 4

# Findings, and what they are counted in.
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
# Not all that Pillow knows: some formats start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MOST_SIZES = 10
_ROWS = 16
_THREADS = 8


class InspectedRecord(NamedTuple):
    """What was seen in one record.

    Attributes:
        exemplars: How many it has.
        images: Images that could be read.
        masks: Covered share of each mask that could be read.
        sizes: Width and height of images, or of masks where there are no images.
        pairs: Pairs of images that were compared.
        findings: How often each finding occurs in it.
    """

    exemplars: int
    images: int
    masks: list[float]
    sizes: list[tuple[int, int]]
    pairs: int
    findings: dict[str, int]


class ExemplarSums:
    """Sums over the records of one part."""

    def __init__(self) -> None:
        self._neurons = self._images = self._masks = self._pairs = 0
        self._per_neuron: Counter[int] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._covered = 0.0
        self._coverage = np.zeros(COVERAGE_BINS, dtype=np.int64)
        self._findings = {name: Finding() for name in FINDINGS}

    def add(self, key: NeuronKey, seen: InspectedRecord) -> None:
        """Add a record; one without any exemplar does not count."""
        if not seen.exemplars:
            return
        self._neurons += 1
        self._per_neuron[seen.exemplars] += 1
        self._images += seen.images
        self._masks += len(seen.masks)
        self._pairs += seen.pairs
        self._sizes.update(seen.sizes)
        self._covered += sum(seen.masks)
        self._coverage += np.histogram(seen.masks, COVERAGE_BINS, (0.0, 1.0))[0]
        for name, count in seen.findings.items():
            finding = self._findings[name]
            finding.count += count
            finding.neurons += 1
            if len(finding.examples) < EXAMPLES:
                finding.examples.append(key)

    def result(self) -> ExemplarMeasures | None:
        """Return what was summed; None if no record had exemplars."""
        if not self._neurons:
            return None
        common = self._sizes.most_common(_MOST_SIZES)
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
    tallies: Callable[[NeuronKey], Sequence[ExemplarSums]],
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Inspect the exemplars of all neurons, in threads.

    Args:
        neurons: Records; their images and masks are decoded one batch after the other.
        tallies: Says to which sums a neuron belongs.
        advance: Called with the number of records done since the last call.
    """
    records = encoded_records(neurons, _COLUMNS)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while batch := list(islice(records, _ROWS)):
            for record, seen in zip(batch, pool.map(inspect_record, batch), strict=True):
                key = key_of(record)
                for tally in tallies(key):
                    tally.add(key, seen)
            advance(len(batch))


def inspect_record(record: Mapping[str, Any]) -> InspectedRecord:
    """Look at one record with encoded images and masks, as ``encoded_records`` gives them."""
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
    # Not "any ascending": NaN is in no order either.
    findings["not_descending"] = int(
        not all(a is not None and b is not None and a >= b for a, b in pairwise(activations))
    )
    pairs = 0
    for (first, first_id), (second, second_id) in combinations(hashes, 2):
        if first_id is not None and first_id == second_id:
            continue  # the same image, which "repeated_ids" reports
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
    """Return the difference hash of an image, 64 bits."""
    pixels = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS))
    return int.from_bytes(np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes(), "big")


def _decode(encoded: Mapping[str, Any] | None) -> Image.Image | None:
    """Decode an image; None if that is not possible."""
    if not encoded:
        return None
    data, path = encoded.get("bytes"), encoded.get("path")
    try:
        if data is None and path and Path(path).is_file():  # no pipe, which would wait forever
            data = Path(path).read_bytes()
        with opened(data or b"", formats=_FORMATS) as image:
            image.load()
            return image
    except (OSError, UnreadableImageError):
        return None


def _covered(mask: Image.Image) -> float:
    histogram = mask.convert("L").histogram()
    return sum(histogram[128:]) / sum(histogram)
