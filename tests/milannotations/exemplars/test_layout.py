"""Layouts: every token lands where its patch is, nothing is copied, misfits are named."""

from __future__ import annotations

import itertools

import pytest
import torch

from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout


@pytest.mark.parametrize(("rows", "columns", "prefix"), [(3, 5, 0), (3, 5, 1), (4, 2, 5)])
def test_every_token_lands_at_its_row_and_column(rows: int, columns: int, prefix: int) -> None:
    tokens = torch.full((2, prefix + rows * columns, 3), -1.0)
    for row, column in itertools.product(range(rows), range(columns)):
        tokens[:, prefix + row * columns + column] = torch.tensor([row, column, 100 * row + column])
    maps = Layout("tokens", (rows, columns), prefix).maps(tokens)
    assert maps.shape == (2, 3, rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        assert maps[1, :, row, column].tolist() == [row, column, 100 * row + column]


def test_maps_are_views() -> None:
    for layout, shape, expected in (
        (Layout("spatial"), (2, 3, 4, 5), (2, 3, 4, 5)),
        (Layout("channels_last"), (2, 4, 5, 3), (2, 3, 4, 5)),
        (Layout("tokens", (4, 5), 2), (2, 22, 3), (2, 3, 4, 5)),
        (Layout("vector"), (2, 3), (2, 3, 1, 1)),
    ):
        output = torch.randn(shape)
        maps = layout.maps(output)
        assert maps.shape == expected
        assert maps.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()


def test_channels_last_keeps_places() -> None:
    output = torch.arange(24.0).view(1, 2, 3, 4)
    assert Layout("channels_last").maps(output)[0, 3, 1, 2] == output[0, 1, 2, 3]


def test_without_a_grid_tokens_are_a_square() -> None:
    assert Layout("tokens", prefix=1).maps(torch.zeros(1, 17, 2)).shape == (1, 2, 4, 4)
    with pytest.raises(ValueError, match="19 tokens, which are not 1 before a grid of a square"):
        Layout("tokens", prefix=1).maps(torch.zeros(1, 19, 2))


@pytest.mark.parametrize(
    ("layout", "shape", "match"),
    [
        (Layout("spatial"), (2, 3), "2 × 3, but the layout spatial is N × units × height"),
        (Layout("channels_last"), (2, 3, 4), "channels_last is N × height × width × units"),
        (Layout("vector"), (2, 3, 4), "a vector is N × units"),
        (Layout("tokens", (2, 2)), (1, 4, 1, 1), "tokens are N × tokens × units"),
        (Layout("tokens", (2, 2), 1), (1, 4, 8), "4 tokens, which are not 1 before a grid of 2 ×"),
        (Layout("tokens", prefix=5), (1, 4, 8), "not 5 before a grid of a square"),
        (Layout("spatial", (4, 4)), (1, 8, 4, 5), "maps are not 4 × 4"),
    ],
)
def test_outputs_that_do_not_fit(layout: Layout, shape: tuple[int, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        layout.maps(torch.zeros(shape))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (
            ("tiles",),
            "layout 'tiles'; known are spatial, channels_last, tokens, tokens_last, vector",
        ),
        (("tokens", (0, 4)), r"a grid of \(0, 4\)"),
        (("tokens", (2, 2), -1), "-1 prefix tokens"),
        (("spatial", None, 1), "the layout spatial has no prefix"),
    ],
)
def test_layouts_that_make_no_sense(values: tuple[object, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Layout(*values)  # type: ignore[arg-type]
