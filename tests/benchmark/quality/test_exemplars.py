"""Masks, sizes and repeated exemplars, where every count is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from PIL import Image

from benchmark.quality.exemplar_measures import (
    NEAR,
    ExemplarSums,
    difference_hash,
    inspect_all,
    inspect_record,
)
from benchmark.quality.schema import ExemplarMeasures
from milannotations.loading import load
from milannotations.record import encode_image, encoded_records
from tests.benchmark.quality.records import (
    Maker,
    compressed,
    dataset,
    halved,
    mask,
    photograph,
)


def _result(records: list[dict[str, Any]]) -> ExemplarMeasures | None:
    tally = ExemplarSums()
    inspect_all(dataset(records), lambda key: [tally])
    return tally.result()


def test_every_finding_is_counted_where_it_is(record: Maker) -> None:
    seven = encode_image(photograph(7))
    copy = encode_image(halved(photograph(7)))
    records = [
        record(0),
        record(1, masks=[mask(0.0), mask(0.0)]),
        record(2, masks=[mask(1.0), mask(0.5)]),
        record(3, image_ids=[5, 5]),
        record(4, images=[seven, copy]),
        record(5, images=[seven, seven], image_ids=[8, 8]),
        record(6, activations=[1.0, 2.0]),
        record(7, images=[seven, b"no image"]),
        record(8, image_ids=[1]),
        record(9, images=[], masks=[], activations=[], image_ids=[]),
        record(10, activations=[float("nan"), 1.0]),
    ]
    found = _result(records)
    assert found is not None
    assert found.neurons == 10
    assert found.per_neuron == {2: 10}
    assert (found.images, found.masks) == (19, 20)
    assert found.sizes == {"32 × 32": 18, "16 × 16": 1}
    assert found.covered == pytest.approx((16 * 0.25 + 0.0 + 0.0 + 1.0 + 0.5) / 20)
    assert sum(found.coverage) == 20
    assert (found.coverage[0], found.coverage[5], found.coverage[-1]) == (2, 16, 1)
    where = {
        name: (finding.count, [example.unit for example in finding.examples])
        for name, finding in found.findings.items()
    }
    assert where == {
        "empty_masks": (2, [1]),
        "full_masks": (1, [2]),
        "repeated_ids": (2, [3, 5]),
        "near_duplicates": (1, [4]),  # of unit 5 the id says already that both are one image
        "not_descending": (2, [6, 10]),
        "unreadable": (1, [7]),
        "uneven": (1, [8]),
    }
    assert found.findings["empty_masks"].neurons == 1
    assert found.pairs == 7  # not units 3 and 5 (one id), nor 7 (one image)


def test_records_without_exemplars_are_no_exemplars(record: Maker) -> None:
    bare = {"images": [], "masks": [], "activations": [], "image_ids": []}
    assert _result([record(unit, **bare) for unit in range(3)]) is None


def test_masks_alone_have_sizes(record: Maker) -> None:
    found = _result([record(0, images=[], masks=[mask(0.5, 16), mask(0.5, 8)], image_ids=[])])
    assert found is not None
    assert found.sizes == {"16 × 16": 1, "8 × 8": 1}
    assert (found.images, found.pairs, found.covered) == (0, 0, 0.5)


@pytest.mark.parametrize("data", [None, b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_image_is_reported_not_run(record: Maker, data: bytes | None) -> None:
    broken = record(0)
    broken["images"][0] = {"bytes": data, "path": "/dev/zero"}
    assert inspect_record(broken).findings == {"unreadable": 1}


def test_progress_covers_every_record(record: Maker) -> None:
    done: list[int] = []
    inspect_all(dataset([record(unit) for unit in range(20)]), lambda key: [], done.append)
    assert sum(done) == 20


def test_the_threshold_finds_copies_and_spares_other_images() -> None:
    neurons = load("demo", "network")
    images = {
        number: Image.open(io.BytesIO(image["bytes"])).convert("RGB")
        for row in encoded_records(neurons, ["image_ids", "images"])
        for number, image in zip(row["image_ids"], row["images"], strict=True)
    }
    assert len(images) > 250
    hashes = [difference_hash(image) for image in images.values()]

    def found(change: Callable[[Image.Image], Image.Image]) -> float:
        changed = [difference_hash(change(image)) for image in images.values()]
        near = [(a ^ b).bit_count() <= NEAR for a, b in zip(hashes, changed, strict=True)]
        return sum(near) / len(near)

    assert found(lambda image: compressed(image, quality=60)) > 0.95
    assert found(halved) > 0.95
    assert found(lambda image: compressed(halved(image), quality=60)) > 0.9
    pairs = [(a ^ b).bit_count() <= NEAR for a, b in combinations(hashes, 2)]
    assert sum(pairs) / len(pairs) < 1e-4
