from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RectBivariateSpline
from scipy.sparse import csr_array

from baselines.concepts.activations import RecordedMaps
from baselines.concepts.counting import Masking
from baselines.concepts.labelled_images import VisualConcept
from baselines.concepts.packing import packed
from baselines.concepts.partition import Partition
from baselines.concepts.probing import tallies
from baselines.concepts.tally import Tally
from baselines.concepts.upsampling import matrices
from baselines.netdissect.scores import LabelMatch, UnitResult, detect, scores, summarize
from baselines.netdissect.variants import VARIANTS, Variant
from tests.baselines.concepts.made_up import MadeUp, record

IMAGES, UNITS, SIDE, MAP = 20, 6, 24, 6
CATEGORY = np.array([0, 0, 0, 0, 1, 1, 1, 2])


def some_maps(seed: int) -> np.ndarray:
    """Maps of a dead unit, a rare one, and some that fire often."""
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.standard_normal((IMAGES, UNITS, MAP, MAP)), 0).astype(np.float32)
    maps[:, 0] = 0
    maps[1:, 1] = 0
    return maps


def upsampled(variant: Variant, one: np.ndarray) -> np.ndarray:
    from PIL import Image

    if variant.upsampling == "pillow":
        return np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    if variant.upsampling == "fieldmap":
        nodes = [2 + 4 * i for i in range(MAP)]  # cells are 4 wide
        spline = RectBivariateSpline(nodes, nodes, one, kx=1, ky=1)
        return spline(np.arange(SIDE), np.arange(SIDE)).astype(np.float32)
    rows, columns = (m.numpy() for m in matrices("grid", (MAP, MAP), (SIDE, SIDE), (SIDE, SIDE)))
    return (rows @ one @ columns.T).astype(np.float32)


def slow_ious(variant: Variant, maps: np.ndarray, source: MadeUp, quantile: float) -> np.ndarray:
    """The published loops: image by image, unit by unit, with bincount over all channels."""
    ups = np.array([[upsampled(variant, one) for one in of_image] for of_image in maps])
    over = ups if variant.over == "upsampled" else maps
    flat = over.transpose(1, 0, 2, 3).reshape(UNITS, -1)
    thresholds = np.quantile(flat, 1 - quantile, axis=1, method="inverted_cdf")
    both, truth = np.zeros((UNITS, 8)), np.zeros(8)
    activated, by_category = np.zeros(UNITS), np.zeros((UNITS, 3))
    for i in range(IMAGES):
        labels = source.labels(i)
        whole = [np.full((1, SIDE, SIDE), code) for code in labels.whole]
        channels = np.concatenate([labels.pixels, *whole]) if whole else labels.pixels
        if not variant.multiplicity:
            # A pixel has a label or it has not, however many channels give it.
            channels = np.array([np.where((channels == c + 1).any(0), c + 1, 0) for c in range(8)])
        in_image = np.bincount(channels.ravel().astype(int), minlength=9)[1:]
        truth += in_image
        for u in range(UNITS):
            mask = ups[i, u] > thresholds[u]
            activated[u] += mask.sum()
            in_mask = np.bincount(channels[:, mask].ravel().astype(int), minlength=9)[1:]
            both[u] += in_mask
            for category in range(3):
                seen = in_image if variant.gate == "image" else in_mask
                by_category[u, category] += mask.sum() * (seen[category == CATEGORY].sum() > 0)
    counted = activated[:, None] if variant.gate is None else by_category[:, CATEGORY]
    union = counted + truth - both + variant.epsilon
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", VARIANTS)
def test_scores_are_those_of_the_published_loops(tmp_path: Path, name: str, seed: int) -> None:
    variant, maps, source = VARIANTS[name], some_maps(seed), MadeUp(IMAGES, seed=seed)
    labels = packed(source, folder=tmp_path / "labels", shape=(SIDE, SIDE))
    masking = Masking(0.1, variant.upsampling, variant.over)
    recorded = RecordedMaps(record(tmp_path / "maps", {"conv": maps}, SIDE))
    tally = tallies(recorded, labels, masking, tmp_path / "work")["conv"]
    found = scores(labels.partition, tally, variant)
    expected = slow_ious(variant, maps, source, 0.1)
    np.testing.assert_allclose(found.iou, expected, rtol=1e-12)
    assert expected[2:].max() > 0.05
    assert not expected[0].any()


def test_the_variants_differ(tmp_path: Path) -> None:
    source = MadeUp(IMAGES)
    found = [slow_ious(variant, some_maps(0), source, 0.1) for variant in VARIANTS.values()]
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[1], found[2])


def made(iou_counts: list[int], areas: list[int], categories: list[str]) -> tuple:
    """A unit with so many activated pixels in each of some atoms of one label each."""
    concepts = tuple(VisualConcept(f"c{i}", c, i + 1) for i, c in enumerate(categories))
    names = tuple(dict.fromkeys(categories))
    eye = csr_array(np.eye(len(areas), dtype=np.uint8))
    partition = Partition(concepts, names, eye, np.array(areas))
    counts = csr_array(np.array([iou_counts, [0] * len(areas)], dtype=np.int64))
    gated = np.zeros((2, len(names)), dtype=np.int64)
    return partition, Tally("layer", np.zeros(2, np.float32), counts, gated, gated)


def test_of_equals_the_first_label_of_the_last_category() -> None:
    partition, tally = made([4, 4, 4, 4, 1], [9, 9, 9, 9, 9], ["a", "a", "b", "b", "a"])
    result, dead = detect(partition, tally, VARIANTS["segmenter"])
    assert [match.name for match in result.top] == ["c2", "c3", "c0", "c1", "c4"]
    assert {c: m.name for c, m in result.by_category.items()} == {"b": "c2", "a": "c0"}
    assert result.best is not None
    assert result.best.iou == pytest.approx(4 / (17 + 9 - 4))
    assert (dead.dead, dead.best, dead.top) == (True, None, ())


def test_a_label_is_the_best_however_weak() -> None:
    partition, tally = made([1, 0], [100_000, 5], ["a", "a"])
    result = detect(partition, tally, VARIANTS["segmenter"])[0]
    assert result.best is not None
    assert result.best.iou < 0.04
    assert len(detect(partition, tally, VARIANTS["segmenter"], top=1)[0].top) == 1


def test_labels_that_never_occur_have_no_score() -> None:
    partition, tally = made([3, 0], [10, 0], ["a", "a"])
    found = scores(partition, tally, VARIANTS["segmenter"])
    assert found.iou[0, 1] == 0
    assert np.isfinite(found.iou).all()


@pytest.mark.parametrize("seed", range(5))
def test_iou_is_symmetric(seed: int) -> None:
    """Units that are the labels: the IoU of unit i and label j is that of unit j and label i."""
    rng = np.random.default_rng(seed)
    held = (rng.random((40, 6)) < 0.3).astype(np.uint8)
    areas = rng.integers(1, 50, 40)
    concepts = tuple(VisualConcept(f"c{i}", "object", i + 1) for i in range(6))
    partition = Partition(concepts, ("object",), csr_array(held), areas)
    counts = csr_array(held.T.astype(np.int64) * areas)
    gated = np.zeros((6, 1), dtype=np.int64)
    tally = Tally("layer", np.zeros(6, np.float32), counts, gated, gated)
    found = scores(partition, tally, VARIANTS["segmenter"]).iou
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), held.any(0).astype(float))
    assert 0 < found[0, 1] < 1


def unit(number: int, name: str, category: str, iou: float) -> UnitResult:
    match = LabelMatch(name, category, 1, iou, 1, 1, 1)
    return UnitResult(number, 0.0, False, match, (match,), {category: match})


def test_detectors_and_unique_detectors() -> None:
    results = [
        unit(0, "dog", "object", 0.3), unit(1, "dog", "object", 0.05),
        unit(2, "cat", "object", 0.1),
        unit(3, "red", "color", 0.04), unit(4, "blue", "color", 0.039),
        UnitResult(5, 0.0, True, None, ()),
    ]  # fmt: skip
    lite = summarize(results, ["object", "color", "scene"], VARIANTS["lite"])
    assert lite.detectors == {"object": 3, "color": 1, "scene": 0}
    assert lite.unique == {"object": 2, "color": 1, "scene": 0}
    assert lite.labels["object"] == {"dog": 2, "cat": 1}
    assert (lite.units, lite.dead) == (6, 1)
    # The code with a segmentation model wants more than the bar.
    strict = summarize(results, ["object", "color", "scene"], VARIANTS["segmenter"])
    assert strict.detectors["color"] == 0
