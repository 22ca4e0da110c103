from __future__ import annotations

import itertools

import pytest

from baselines.compexp import optimal as module
from baselines.compexp.beam import BeamSearchConfig, Space, dense_row, search
from baselines.compexp.formula import Formula
from baselines.compexp.optimal import optimal
from baselines.compexp.proofs import prove
from milannotations.errors import InputError
from tests.baselines.compexp.spaces import Pixels


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_best_of_all_formulas(seed: int, length: int) -> None:
    pixels = Pixels(seed, concepts=5)
    for unit in range(len(pixels.units)):
        proof = optimal(pixels.space, dense_row(pixels.counts, unit), length)
        best = max(pixels.iou(formula, unit) for formula in pixels.formulas(length))
        assert proof.proved
        assert proof.iou == pytest.approx(best, abs=1e-12)
        assert proof.bound == proof.iou
        assert proof.formula.length <= length
        assert pixels.iou(proof.formula, unit) == pytest.approx(proof.iou, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_longer_formulas(seed: int) -> None:
    pixels = Pixels(seed, concepts=4, units=3)
    for unit in range(3):
        proof = optimal(pixels.space, dense_row(pixels.counts, unit), 4)
        best = max(pixels.iou(formula, unit) for formula in pixels.formulas(4))
        assert proof.proved
        assert proof.iou == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_never_below_the_beam_and_sometimes_above(seed: int) -> None:
    pixels = Pixels(seed, concepts=12, units=8)
    beams = search(pixels.space, pixels.counts)
    for unit, beam in enumerate(beams):
        proof = optimal(pixels.space, dense_row(pixels.counts, unit), 3)
        assert proof.iou >= beam.iou - 1e-12


def test_the_beam_is_not_always_best() -> None:
    better = 0
    for seed in range(6):
        pixels = Pixels(seed, concepts=12, units=8)
        for unit, beam in enumerate(search(pixels.space, pixels.counts, BeamSearchConfig(beam=1))):
            proof = optimal(pixels.space, dense_row(pixels.counts, unit), 3)
            better += proof.iou > beam.iou + 1e-9
    assert better > 0


@pytest.mark.parametrize("seed", range(6))
def test_what_was_not_looked_at_in_time_is_below_the_bound(seed: int) -> None:
    pixels = Pixels(seed, concepts=6)
    for unit in range(1, len(pixels.units)):
        row = dense_row(pixels.counts, unit)
        start = search(pixels.space, pixels.counts[[unit]], BeamSearchConfig(length=1))[0].formula
        hurried = optimal(pixels.space, row, 3, seconds=0.0, start=start)
        best = max(pixels.iou(formula, unit) for formula in pixels.formulas(3))
        assert hurried.bound >= best - 1e-12
        assert hurried.iou <= hurried.bound
        assert hurried.proved == (hurried.bound == hurried.iou)


@pytest.mark.parametrize(("seed", "unit"), [(9, 1), (3, 2), (5, 3)])
def test_the_bound_holds_whenever_time_is_up(
    seed: int, unit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves on by one at each look stops the search at every possible place."""
    pixels = Pixels(seed, concepts=6, pixels=60)
    best = max(pixels.iou(formula, unit) for formula in pixels.formulas(3))
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    unproved = 0
    for looks in itertools.count():
        ticks = itertools.count()
        monkeypatch.setattr(module.time, "monotonic", lambda ticks=ticks: next(ticks))
        proof = optimal(
            pixels.space, dense_row(pixels.counts, unit), 3, seconds=looks + 0.5, start=Formula(1)
        )
        assert proof.bound >= best - 1e-12
        if proof.proved:
            assert proof.iou == pytest.approx(best, abs=1e-12)
            break
        unproved += 1
    assert unproved > 10


def test_a_start_that_is_too_long() -> None:
    pixels = Pixels(2)
    row = dense_row(pixels.counts, 1)
    start = Formula(1, ((0, 2),))
    assert optimal(pixels.space, row, 2, start=start).proved
    with pytest.raises(InputError, match="has 2 labels, more than 1"):
        optimal(pixels.space, row, 1, start=start)


def test_too_many_pixels_for_exact_sums() -> None:
    pixels = Pixels(2)
    row = dense_row(pixels.counts, 1)
    many = 10**6  # of each pixel
    grown = Space(pixels.space.holds, (pixels.space.areas * many).astype("int64"))
    assert optimal(grown, row * many, 3).formula == optimal(pixels.space, row, 3).formula
    more = 10**8
    grown = Space(pixels.space.holds, (pixels.space.areas * more).astype("int64"))
    with pytest.raises(InputError, match=r"too many for exact sums; use smaller label maps"):
        optimal(grown, row * more, 3)


def test_too_little_time_proves_nothing() -> None:
    pixels = Pixels(2, concepts=6)
    hurried = optimal(pixels.space, dense_row(pixels.counts, 2), 3, seconds=0.0)
    assert not hurried.proved
    assert hurried.bound > hurried.iou > 0


def test_many_units_on_all_cores() -> None:
    pixels = Pixels(4, concepts=6, units=20)
    starts = [found.formula for found in search(pixels.space, pixels.counts)]
    steps: list[int] = []
    proofs = prove(pixels.space, pixels.counts, starts, 3, advance=steps.append)
    assert sum(steps) == 20
    for unit, proof in enumerate(proofs):
        alone = optimal(pixels.space, dense_row(pixels.counts, unit), 3, start=starts[unit])
        assert proof == alone


def test_a_dead_unit() -> None:
    pixels = Pixels(0)
    proof = optimal(pixels.space, dense_row(pixels.counts, 0), 3)
    assert (proof.formula, proof.iou, proof.proved) == (Formula(None), 0.0, True)
