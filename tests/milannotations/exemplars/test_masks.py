"""Masks by both rules, against small examples worked out by hand and ``grid_sample`` map by map."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from milannotations.errors import InputError
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.render import (
    encoded_masks,
    render_masks,
    upsample,
    upsample_padded,
)
from milannotations.rules import checked_mask_rule


def _sampled(single: Tensor, size: int) -> Tensor:
    """Upsample one map as the code of the MILAN paper does, with zeros around it."""
    axes = []
    for length in single.shape:
        scale = float(size) / length
        offset = 0.5 * scale - 0.5
        axes.append((torch.arange(size).float() - offset) * (2 / (scale * max(1, length - 1))) - 1)
    grid = torch.stack([axes[1].expand(size, size), axes[0][:, None].expand(size, size)], 2)
    return functional.grid_sample(
        single[None, None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=True
    )[0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 7), (13, 9), (55, 55), (64, 64)])
@pytest.mark.parametrize("size", [32, 224])
def test_upsampling_with_zeros_is_grid_sample_to_the_last_bit(
    shape: tuple[int, int], size: int
) -> None:
    maps = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    large = upsample_padded(maps, size)
    assert large.shape == (2, 3, size, size)
    for unit in range(2):
        for rank in range(3):
            assert torch.equal(large[unit, rank], _sampled(maps[unit, rank], size))


def test_two_values_by_hand() -> None:
    """Four pixels over [1, 3]: centres at -1/4, 1/4, 3/4 and 5/4 of the way between the two."""
    row = torch.tensor([[1.0, 3.0], [1.0, 3.0]])[None, None]
    padded, plain = upsample_padded(row, 4)[0, 0], upsample(row, 4)[0, 0]
    # Half way up the map in the middle rows; in the outer ones a quarter has faded.
    assert padded[1].tolist() == pytest.approx([0.75, 1.5, 2.5, 2.25])
    assert padded[0].tolist() == pytest.approx([0.5625, 1.125, 1.875, 1.6875])
    assert plain[0].tolist() == pytest.approx([1.0, 1.5, 2.5, 3.0])
    threshold, minimum = torch.tensor([1.5]), torch.tensor([0.0])
    original = render_masks(row, threshold, minimum, 4, "original")[0, 0]
    assert original.int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    bilinear = render_masks(row, threshold, minimum, 4)[0, 0]
    assert bilinear.int().tolist() == [[0, 1, 1, 1]] * 4  # at least the threshold, not above it
    original = render_masks(row, torch.tensor([2.0]), minimum, 4, "original")[0, 0]
    assert original.int().tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_one_value_dead_units_and_plateaus() -> None:
    single = torch.full((1, 1, 1, 1), 2.0)
    assert (upsample_padded(single, 5) == 2).all()
    dead = torch.zeros(1, 2, 3, 3)
    zero = torch.zeros(1)
    assert not render_masks(dead, zero, zero, 16, "original").any()
    assert not render_masks(dead, zero, zero, 16).any()
    spot = torch.zeros(1, 1, 3, 3)
    spot[0, 0, 1, 1] = 1
    assert torch.equal(
        render_masks(spot, zero, zero, 12, "original")[0, 0], _sampled(spot[0, 0], 12) > 0
    )
    # Zeros around the map lie above a threshold below zero.
    sunken = torch.full((1, 1, 4, 4), -1.0)
    mask = render_masks(sunken, torch.tensor([-0.9]), torch.tensor([-1.0]), 16, "original")[0, 0]
    frame = torch.ones(16, 16, dtype=torch.bool)
    frame[2:14, 2:14] = False
    assert mask[0].all()
    assert not (mask & ~frame).any()


def test_encoded_masks_follow_the_rule() -> None:
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(9, 2, 7, 7, generator=generator)
    threshold = maps.flatten(1).quantile(0.9, dim=1)
    minimum = maps.flatten(1).amin(1)
    for rule in ("bilinear", "original"):
        checked = checked_mask_rule(rule)
        encoded = encoded_masks(maps, threshold, minimum, 40, checked)
        decoded = np.array(
            [[np.asarray(Image.open(io.BytesIO(m)).convert("1")) for m in unit] for unit in encoded]
        )
        large = (
            torch.stack([_sampled(m, 40) for m in maps.flatten(0, 1)]).view(9, 2, 40, 40)
            if rule == "original"
            else functional.interpolate(maps, size=40, mode="bilinear", align_corners=False)
        )
        wrong = decoded != (large > threshold[:, None, None, None]).numpy()
        # Nothing lies within rounding of a threshold but, by interpolate, a pixel or two.
        assert wrong.sum() <= (0 if rule == "original" else 2)


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(InputError, match="mask rule 'nearest'; choose one of bilinear, original"):
        BuildOptions(masks="nearest").check(100)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="in-place rule 'never'; choose before or after"):
        BuildOptions(in_place="never").check(100)  # type: ignore[arg-type]
