from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import RectBivariateSpline
from torch.nn import functional

from baselines.concepts.upsampling import KINDS, matrices

SIZES = [(7, 7), (13, 13), (5, 9), (28, 28), (56, 40), (112, 112)]


def upsampled(kind: str, maps: np.ndarray, shape: tuple[int, int], whole: int) -> np.ndarray:
    rows, columns = matrices(kind, maps.shape[-2:], shape, (whole, whole))
    return (rows @ torch.from_numpy(maps).double() @ columns.T).numpy()


def some_map(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size[0]).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("size", [*SIZES, (224, 224), (150, 113)])
def test_pillow_is_pillow_also_where_it_shrinks(size: tuple[int, int]) -> None:
    given = some_map(size)
    wanted = Image.fromarray(given).resize((112, 112), Image.Resampling.BILINEAR)
    found = upsampled("pillow", given, (112, 112), 224)
    np.testing.assert_allclose(found, np.asarray(wanted), atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_grid_is_grid_sample_with_zeros_around(size: tuple[int, int]) -> None:
    given, shape = some_map(size), (56, 56)
    axes = []
    for length, wanted in zip(size, shape, strict=True):
        scale = wanted / length
        position = (torch.arange(wanted, dtype=torch.float64) - (0.5 * scale - 0.5)) / scale
        axes.append(position * 2 / (length - 1) - 1)
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=2)[None]
    wanted = functional.grid_sample(
        torch.from_numpy(given).double()[None, None], grid, align_corners=True
    )
    found = upsampled("grid", given, shape, 224)
    np.testing.assert_allclose(found, wanted[0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("length", "wanted", "whole", "nodes"),
    [
        (7, 112, 224, range(8, 112, 16)),
        (14, 112, 224, range(4, 112, 8)),
        (13, 113, 227, range(4, 4 + 13 * 8, 8)),  # 227 // 13 = 17, 17 // 2 = 8
        (112, 112, 224, range(112)),
    ],
)
def test_fieldmap_is_the_original_spline(
    length: int, wanted: int, whole: int, nodes: range
) -> None:
    given = some_map((length, length)).astype(np.float64)
    spline = RectBivariateSpline(list(nodes), list(nodes), given, kx=1, ky=1)
    expected = spline(np.arange(wanted), np.arange(wanted), grid=True)
    found = upsampled("fieldmap", given, (wanted, wanted), whole)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [*SIZES, (1, 1), (224, 224)])
def test_weights_are_never_negative_and_add_up_to_one_at_most(
    kind: str, size: tuple[int, int]
) -> None:
    for matrix in matrices(kind, size, (112, 112), (224, 224)):
        assert (matrix >= 0).all()
        sums = matrix.sum(1)
        assert (sums <= 1 + 1e-12).all()
        assert kind == "grid" or torch.allclose(sums, torch.ones_like(sums))


@pytest.mark.parametrize("kind", KINDS)
def test_one_activation_per_image_is_everywhere(kind: str) -> None:
    found = upsampled(kind, np.array([[2.5]], dtype=np.float32), (8, 9), 224)
    np.testing.assert_array_equal(found, np.full((8, 9), 2.5))


def test_no_such_kind() -> None:
    with pytest.raises(ValueError, match="'cubic'"):
        matrices("cubic", (7, 7), (112, 112), (224, 224))
