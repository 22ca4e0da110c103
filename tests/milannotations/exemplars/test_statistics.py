"""Top-k and quantile against brute force, and the order of the data against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from milannotations.exemplars import histogram, quantile
from milannotations.exemplars.histogram import QuantileHistogram
from milannotations.exemplars.statistics import LayerStatistics, Sample, TopK
from milannotations.exemplars.tail import ExactTail

IMAGES, UNITS, SIDE = 60, 5, 30


def _distributions() -> dict[str, torch.Tensor]:
    normal = torch.randn(IMAGES, UNITS, SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    return {
        "normal": normal,
        "relu": normal.relu(),
        "sparse": (normal - 2.2).relu(),
        "heavy tail": (3 * normal).exp(),
        "offset": normal + 30,
        "negative": normal - 30,
        "tiny": normal * 1e-7,
        "huge": normal * 1e5,
    }


@pytest.fixture(params=[0, 10**6], ids=["histogram", "exact"])
def longest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Both ways to find the quantile."""
    monkeypatch.setattr(quantile, "LONGEST", request.param)
    return int(request.param)


def test_the_exact_quantile_is_exact_in_any_order() -> None:
    values = _distributions()["heavy tail"]
    exact = values.transpose(0, 1).flatten(1).sort(dim=1).values[:, math.ceil(0.99 * 54000) - 1]
    ids = torch.arange(IMAGES)
    for parts in (ids.split(7), ids.flip(0).split(60)):
        counted = quantile.quantile_of(UNITS, 0.99, IMAGES * SIDE * SIDE)
        assert isinstance(counted, ExactTail)
        for part in parts:
            some = values[part]
            counted.update(some, some.amin((0, 2)), some.amax((0, 2)))
        assert torch.equal(counted.quantile(), exact)


def test_long_streams_are_counted_short_ones_kept() -> None:
    assert isinstance(quantile.quantile_of(1, 0.99, 102_300), ExactTail)
    assert isinstance(quantile.quantile_of(1, 0.99, 102_400), QuantileHistogram)


def _histogram(values: torch.Tensor, q: float, step: int, expected: int | None = None):
    counted = QuantileHistogram(values.shape[1], q, expected or values.shape[0] * values.shape[2])
    for part in values.split(step):
        counted.update(part, part.amin((0, 2)), part.amax((0, 2)))
    return counted


@pytest.mark.parametrize("name", _distributions())
@pytest.mark.parametrize("q", [0.9, 0.99, 0.995])
def test_rank_error_is_below_a_twentieth_of_a_percent(name: str, q: float) -> None:
    values = _distributions()[name]
    found = _histogram(values, q, 7).quantile()
    flat = values.transpose(0, 1).flatten(1)
    below = (flat < found[:, None]).double().mean(1)
    up_to = (flat <= found[:, None]).double().mean(1)
    # The true rank of the value returned lies between these two; they differ where values tie.
    assert (below - q).max() <= 0.0005
    assert (q - up_to).max() <= 0.0005


@pytest.mark.parametrize("name", _distributions())
def test_batch_size_order_and_merging_do_not_change_the_quantile(name: str) -> None:
    values = _distributions()[name]
    once = _histogram(values, 0.99, IMAGES).quantile()
    assert torch.equal(once, _histogram(values, 0.99, 1).quantile())
    assert torch.equal(once, _histogram(values.flip(0), 0.99, 11).quantile())
    expected = IMAGES * SIDE * SIDE
    first = _histogram(values[:13], 0.99, 4, expected)
    second = _histogram(values[13:], 0.99, 9, expected)
    first.merge(second)
    assert torch.equal(once, first.quantile())


def test_few_values_are_counted_at_once_before_there_is_a_floor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = torch.randn(40, 3, 100, generator=torch.Generator().manual_seed(0))
    expected = _histogram(values, 0.9, 40, expected=100_000)
    counted = []
    tally = QuantileHistogram._tally

    def watched(self: QuantileHistogram, part: torch.Tensor) -> None:
        counted.append(part.numel())
        tally(self, part)

    monkeypatch.setattr(QuantileHistogram, "_tally", watched)
    monkeypatch.setattr(histogram, "_AT_ONCE", 700)
    created = _histogram(values, 0.9, 40, expected=100_000)
    assert max(counted) == 600  # two images
    assert torch.equal(created.quantile(), expected.quantile())


def test_skipping_values_below_the_floor_is_exact_on_ascending_data() -> None:
    # Ascending data raises the floor as late as can be, descending as early.
    values = torch.arange(40000.0).reshape(40, 1, 1000)
    up, down = (_histogram(v, 0.99, 3).quantile() for v in (values, values.flip(0)))
    assert torch.equal(up, down)
    assert up.item() == pytest.approx(39600, rel=1 / 256)


def test_dead_and_constant_units_have_exact_thresholds() -> None:
    values = torch.zeros(10, 2, 16)
    values[:, 1] = 5.0
    assert _histogram(values, 0.99, 3).quantile().tolist() == [0.0, 5.0]


def test_a_late_outlier_leaves_the_quantile_as_it_was() -> None:
    # Every octave kept is counted from the greatest magnitude, which comes last here.
    values = torch.randn(40, 2, 500, generator=torch.Generator().manual_seed(3)).abs()
    values[:, 1] -= 0.5
    with_outlier = values.clone()
    with_outlier[-1, :, -1] = torch.tensor([2.0**20, -(2.0**20)])
    late = _histogram(with_outlier, 0.99, 3).quantile()
    early = _histogram(with_outlier.flip(0), 0.99, 3).quantile()
    assert torch.equal(late, early)
    exact = torch.quantile(with_outlier.transpose(0, 1).flatten(1), 0.99, dim=1)
    assert torch.allclose(late, exact, rtol=1 / 128)


def test_what_a_float32_sum_would_lose_counts_as_zero_in_any_order() -> None:
    values = torch.full((10, 1, 100), 1e-3)
    values[0, 0, 0] = 1e9
    for some in (values, values.flip(0)):
        # No less than the least activation, which is not zero.
        assert _histogram(some, 0.9, 1).quantile().item() == pytest.approx(1e-3)


def test_histograms_with_different_magnitudes_merge_exactly() -> None:
    values = torch.randn(30, 3, 200, generator=torch.Generator().manual_seed(4))
    values[15:] *= 2.0**12
    once = _histogram(values, 0.97, 30)
    for parts in ((values[:15], values[15:]), (values[15:], values[:15])):
        first, second = (_histogram(part, 0.97, 4, expected=30 * 200) for part in parts)
        first.merge(second)
        assert torch.equal(first.quantile(), once.quantile())


@pytest.mark.parametrize("name", ["normal", "relu", "negative"])
def test_saved_statistics_go_on_as_if_never_saved(name: str, longest: int) -> None:
    maps = _distributions()[name].unflatten(2, (SIDE, SIDE))
    whole, first, second = (LayerStatistics(UNITS, 5, SIDE, SIDE, 0.99, IMAGES) for _ in range(3))
    ids = torch.arange(IMAGES)
    whole.update(ids, maps)
    first.update(ids[:25], maps[:25])
    second.restore(first.state())
    second.update(ids[25:], maps[25:])
    assert torch.equal(second.quantile.quantile(), whole.quantile.quantile())
    assert torch.equal(second.top.ids, whole.top.ids)
    assert torch.equal(second.top.maps(), whole.top.maps())
    assert torch.equal(second.sample.values, whole.sample.values)


def test_the_sample_is_the_same_in_any_order_and_however_divided() -> None:
    maps = torch.randn(700, 2, 5, 5, generator=torch.Generator().manual_seed(5))
    whole, left, right = (Sample(2, 700) for _ in range(3))
    whole.update(torch.arange(700), maps.flatten(2))
    for ids in torch.arange(350).flip(0).split(30):
        left.update(ids, maps[ids].flatten(2))
    for ids in torch.arange(350, 700).split(11):
        right.update(ids, maps[ids].flatten(2))
    right.merge(left)
    assert torch.equal(whole.values, right.values)
    # All 234 images at a distance of 3, at eight positions each, first and last among them.
    assert whole.values.shape == (2, 234, 8)
    assert torch.equal(whole.values[:, :, 0], maps[::3, :, 0, 0].T)
    assert torch.equal(whole.values[:, :, -1], maps[::3, :, -1, -1].T)


def test_half_precision_maps_give_what_the_same_numbers_in_float32_give(longest: int) -> None:
    maps = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(6)).bfloat16()
    half, full = (LayerStatistics(3, 4, 8, 8, 0.99, 20) for _ in range(2))
    half.update(torch.arange(20), maps)
    full.update(torch.arange(20), maps.float())
    assert torch.equal(half.quantile.quantile(), full.quantile.quantile())
    assert torch.equal(half.top.maps(), full.top.maps())


def test_maps_with_channels_last_give_the_same(longest: int) -> None:
    maps = torch.randn(20, 16, 8, 8, generator=torch.Generator().manual_seed(7))
    one, other = (LayerStatistics(16, 4, 8, 8, 0.99, 20) for _ in range(2))
    one.update(torch.arange(20), maps)
    other.update(torch.arange(20), maps.to(memory_format=torch.channels_last))
    assert torch.equal(one.quantile.quantile(), other.quantile.quantile())
    assert torch.equal(one.top.maps(), other.top.maps())


def test_more_values_than_announced_are_an_error() -> None:
    values = torch.rand(4, 1, 10)
    with pytest.raises(ValueError, match="announced"):
        _histogram(values, 0.99, 2, expected=30)


def test_top_k_equals_brute_force_with_ties() -> None:
    rng = np.random.default_rng(1)
    # Few distinct values, so that ties are everywhere.
    maps = torch.from_numpy(rng.integers(0, 6, (IMAGES, UNITS, 3, 4)).astype(np.float32))
    top = TopK(UNITS, 7, 3, 4)
    order = torch.from_numpy(rng.permutation(IMAGES))
    for ids in order.split(9):
        top.update(ids, maps[ids].flatten(2).amax(2), maps[ids])
    for unit in range(UNITS):
        peaks = maps[:, unit].flatten(1).amax(1)
        best = sorted(range(IMAGES), key=lambda i: (-peaks[i].item(), i))[:7]
        assert top.ids[unit].tolist() == best
        assert top.values[unit].tolist() == [peaks[i].item() for i in best]
        assert torch.equal(top.maps()[unit], maps[best, unit])


def test_merged_statistics_equal_those_of_one_pass(longest: int) -> None:
    maps = torch.randn(IMAGES, UNITS, 6, 6, generator=torch.Generator().manual_seed(2))
    whole, left, right = (LayerStatistics(UNITS, 5, 6, 6, 0.99, IMAGES) for _ in range(3))
    for counted, ids in ((whole, range(60)), (left, range(30, 60)), (right, range(30))):
        index = torch.tensor(list(ids))
        assert not counted.update(index, maps[index]).any()
    left.merge(right)
    assert torch.equal(left.top.ids, whole.top.ids)
    assert torch.equal(left.top.maps(), whole.top.maps())
    assert torch.equal(left.quantile.quantile(), whole.quantile.quantile())


def test_nan_is_reported_and_not_added(longest: int) -> None:
    counted = LayerStatistics(2, 1, 2, 2, 0.99, 10)
    maps = torch.zeros(3, 2, 2, 2)
    maps[1, 1, 0, 0] = torch.nan
    assert counted.update(torch.arange(3), maps).nonzero().tolist() == [[1, 1]]
    assert counted.quantile.count == 0


def _tied(name: str) -> torch.Tensor:
    """800 images with 50 × 50 positions of one unit, where many values tie or lie close."""
    random = torch.Generator().manual_seed(8)
    images, positions = 800, 2500
    values = torch.randn(images, 1, positions, generator=random) * 0.3
    if name in ("0.2 %", "1.02 %", "5 %"):
        share = float(name.split()[0]) / 100
        values[torch.rand(values.shape, generator=random) < share] = 0.90415365
    elif name == "several":
        for value in (0.69, 0.6905, 0.695, 0.7, 0.7021):
            values[torch.rand(values.shape, generator=random) < 0.001] = value
    elif name == "whole regions":  # white borders of some of the images
        values[::40, :, :1000] = 0.7311
    elif name == "bfloat16":
        values = values.bfloat16().float()
    elif name == "narrow":  # the mean lies 2,000 standard deviations from zero
        values += 600
    elif name == "negative":
        values = -values.abs() - 1
        values[torch.rand(values.shape, generator=random) < 0.012] = -1.0071
    return values


_TIED = ["0.2 %", "1.02 %", "5 %", "several", "whole regions", "bfloat16", "narrow", "negative"]


@pytest.mark.parametrize("name", _TIED)
def test_rank_error_is_as_small_where_values_tie(name: str) -> None:
    values = _tied(name)
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(9))
    halves = [QuantileHistogram(1, 0.99, values.numel()) for _ in range(2)]
    for ids in order.split(37):
        some = values[ids]
        halves[int(ids[0]) % 2].update(some, some.amin((0, 2)), some.amax((0, 2)), ids)
    halves[0].merge(halves[1])
    threshold = halves[0].quantile()
    assert (values < threshold).double().mean() - 0.99 <= 0.0005
    assert 0.99 - (values <= threshold).double().mean() <= 0.0005
    assert torch.equal(threshold, _histogram(values, 0.99, 800).quantile())  # in order, at once
