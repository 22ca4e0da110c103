"""Top-k and quantile against brute force, and the order of the data against itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from milannotations.exemplars.statistics import LayerStatistics, QuantileHistogram, TopK

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


def _histogram(values: torch.Tensor, q: float, step: int, expected: int | None = None):
    made = QuantileHistogram(values.shape[1], q, expected or values.shape[0] * values.shape[2])
    for part in values.split(step):
        made.update(part, part.amin((0, 2)), part.amax((0, 2)))
    return made


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


def test_merged_statistics_equal_those_of_one_pass() -> None:
    maps = torch.randn(IMAGES, UNITS, 6, 6, generator=torch.Generator().manual_seed(2))
    whole, left, right = (LayerStatistics(UNITS, 5, 6, 6, 0.99, IMAGES) for _ in range(3))
    for made, ids in ((whole, range(60)), (left, range(30, 60)), (right, range(30))):
        index = torch.tensor(list(ids))
        assert not made.update(index, maps[index]).any()
    left.merge(right)
    assert torch.equal(left.top.ids, whole.top.ids)
    assert torch.equal(left.top.maps(), whole.top.maps())
    assert torch.equal(left.histogram.quantile(), whole.histogram.quantile())


def test_nan_is_reported_and_not_added() -> None:
    made = LayerStatistics(2, 1, 2, 2, 0.99, 10)
    maps = torch.zeros(3, 2, 2, 2)
    maps[1, 1, 0, 0] = torch.nan
    assert made.update(torch.arange(3), maps).nonzero().tolist() == [[1, 1]]
    assert made.histogram.count == 0
