from __future__ import annotations

import heapq

import numpy as np
import pytest
from scipy.sparse import csr_array

from baselines.compexp import space as spaces_module
from baselines.compexp.beam import BeamSearchConfig, search
from baselines.compexp.formula import Formula
from baselines.compexp.space import Space
from tests.baselines.compexp.spaces import Pixels

SEEDS = range(12)


def published(pixels: Pixels, unit: int, options: BeamSearchConfig) -> list[tuple[Formula, float]]:
    """The published search step by step, with masks; the whole last beam, best first."""

    def best(pairs: list[tuple[Formula, float]], count: int) -> list[tuple[Formula, float]]:
        # collections.Counter.most_common
        return heapq.nlargest(count, pairs, key=lambda pair: pair[1])

    occurring = [c for c in range(len(pixels.labels)) if pixels.labels[c].any()]
    singles = [(Formula(c), pixels.iou(Formula(c), unit)) for c in occurring]
    singles = [(formula, iou) for formula, iou in singles if iou > 0]
    if not singles:
        return [(Formula(None), 0.0)]
    beam = best(singles, options.beam)
    joined = occurring
    if options.candidates is not None:
        joined = [f.labels[0] for f, _ in best(singles, options.candidates)]
    for _ in range(options.length - 1):
        new = []
        for formula, _ in beam:
            for label in joined:
                for operator in range(3):
                    made = formula.joined(operator, label)
                    terms = 1 + sum(1 + (o == 2) for o, _ in made.rest)
                    score = options.penalty ** (terms - 1) * pixels.iou(made, unit)
                    new.append((made, score))
        beam = best([*beam, *new], options.beam)
    return beam


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "options",
    [
        BeamSearchConfig(),
        BeamSearchConfig(beam=2, length=4),
        BeamSearchConfig(beam=1, length=1),
        BeamSearchConfig(penalty=0.9),
        BeamSearchConfig(candidates=2),
        BeamSearchConfig(beam=7, length=2, penalty=0.99, candidates=3),
    ],
    ids=str,
)
def test_the_published_search_to_the_last_bit(seed: int, options: BeamSearchConfig) -> None:
    """The same formulas in the same order with the same floating-point scores."""
    pixels = Pixels(seed)
    for unit, result in enumerate(search(pixels.space, pixels.counts, options)):
        expected = published(pixels, unit, options)
        assert [(result.formula, result.iou), *result.alternatives] == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_are_ious_of_pixels(seed: int) -> None:
    pixels = Pixels(seed, concepts=7)
    for unit, result in enumerate(
        search(pixels.space, pixels.counts, BeamSearchConfig(distinct=True))
    ):
        for formula, iou in [(result.formula, result.iou), *result.alternatives]:
            assert iou == pixels.iou(formula, unit)
        assert result.single_iou == max(pixels.iou(Formula(c), unit) for c in range(7))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_distinct_beam_holds_no_set_of_pixels_twice(seed: int) -> None:
    pixels = Pixels(seed)
    for result in search(pixels.space, pixels.counts, BeamSearchConfig(distinct=True))[1:]:
        beam = [result.formula, *(formula for formula, _ in result.alternatives)]
        masks = {pixels.mask(formula).tobytes() for formula in beam}
        assert len(masks) == len(beam)


@pytest.mark.parametrize("length", [1, 2])
def test_labels_of_the_same_pixels_count_once_in_a_distinct_beam(length: int) -> None:
    pixels = Pixels(2, concepts=4)
    twice = csr_array(np.concatenate([pixels.space.holds.toarray()] * 2, axis=1))
    space = Space(twice, pixels.space.areas.astype(np.int64))
    for distinct in (True, False):
        options = BeamSearchConfig(length=length, distinct=distinct)
        for result in search(space, pixels.counts, options)[1:]:
            beam = [result.formula, *(formula for formula, _ in result.alternatives)]
            sets = {formula.atoms(space.columns).tobytes() for formula in beam}
            assert (len(sets) == len(beam)) is distinct


@pytest.mark.parametrize("limit", [0, 4000])
def test_few_formulas_remembered_change_nothing(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = Pixels(5, concepts=7, units=9)
    expected = search(pixels.space, pixels.counts)
    monkeypatch.setattr(spaces_module, "_REMEMBERED", limit)
    space = Space(pixels.space.holds, pixels.space.areas.astype(np.int64))
    assert search(space, pixels.counts, threads=3) == expected
    assert space.remembered <= limit < pixels.space.remembered


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("distinct", [False, True])
def test_a_greater_length_never_lowers_the_score(seed: int, distinct: bool) -> None:
    pixels = Pixels(seed)
    before = [0.0] * len(pixels.units)
    for length in range(1, 6):
        result = search(
            pixels.space, pixels.counts, BeamSearchConfig(length=length, distinct=distinct)
        )
        assert all(f.iou >= b for f, b in zip(result, before, strict=True))
        before = [f.iou for f in result]
    assert max(before) > 0


def test_a_dead_unit_and_one_where_nothing_is_labelled() -> None:
    pixels = Pixels(1)
    unlabelled = int(np.flatnonzero(pixels.space.holds.sum(axis=1) == 0)[0])
    counts = np.zeros((2, pixels.counts.shape[1]), dtype=np.int64)
    counts[1, unlabelled] = 3
    for result in search(pixels.space, csr_array(counts)):
        assert (result.formula, result.iou, result.alternatives) == (Formula(None), 0.0, ())
        assert result.best_single == Formula(None)


def test_progress_and_threads_change_nothing() -> None:
    pixels = Pixels(3, units=9)
    steps: list[int] = []
    one = search(pixels.space, pixels.counts, threads=1, advance=steps.append)
    assert sum(steps) == 9
    assert search(pixels.space, pixels.counts, threads=4) == one
