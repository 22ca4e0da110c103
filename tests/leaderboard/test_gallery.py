"""Tests of which neurons are shown, how they look, and what is quoted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from PIL import Image as PILImage

from leaderboard.board_building import build_board
from leaderboard.gallery import (
    QUOTES,
    GalleryCard,
    build_gallery,
    check_neurons,
    choose_pictures,
    contact_sheet,
    draw_pictures,
    pick,
    share,
)
from leaderboard.neuron_tables import neuron_tables
from leaderboard.results_folder import load_results
from milannotations.errors import InputError
from milannotations.record import NeuronKey, image_grid, masked_images
from tests.leaderboard.conftest import save_anew


def decode(data: bytes) -> PILImage.Image:
    return PILImage.open(io.BytesIO(data), formats=["JPEG", "PNG"])


def cards_of(results: Path, neurons: dict[str, Dataset], **options: Any) -> list[GalleryCard]:
    loaded = load_results(results)
    metric = options.pop("metric", "identification")
    board = build_board(loaded)
    tables = neuron_tables(board, neurons)
    check_neurons(tables, neurons)
    return build_gallery(board, tables, metric, {}, **options)


KEYS = [NeuronKey("m", "d", f"layer{i}", unit) for i in range(4) for unit in range(50)]


def test_pick_spreads_over_layers() -> None:
    chosen = pick(KEYS, 12)
    assert chosen == sorted(set(chosen))
    assert [KEYS[i].layer for i in chosen] == [f"layer{i}" for i in range(4) for _ in range(3)]


def test_pick_depends_on_the_seed_alone() -> None:
    assert pick(KEYS, 12, seed=1) == pick(KEYS, 12, seed=1)
    assert pick(KEYS, 12, seed=1) != pick(KEYS, 12, seed=2)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (3, 3), (200, 200), (999, 200)])
def test_pick_returns_as_many_as_there_are(size: int, count: int) -> None:
    assert len(pick(KEYS, size)) == count


def test_pick_fills_up_from_large_layers() -> None:
    keys = [NeuronKey("m", "d", "small", 0), *(NeuronKey("m", "d", "large", u) for u in range(9))]
    assert len(pick(keys, 6)) == 6


@pytest.mark.parametrize("total", [0, 1, 2, 3, 7, 50, 500])
def test_places_are_shared_as_evenly_as_can_be(total: int) -> None:
    sizes = {0: 40, 1: 3, 2: 0, 3: 100}
    shares = share(total, sizes)
    assert sum(shares.values()) == min(total, 143)
    assert all(shares[split] <= sizes[split] for split in sizes)
    for split, other in ((a, b) for a in sizes for b in sizes):
        # None has two more than another that could have had one of them.
        assert shares[split] - shares[other] < 2 or shares[other] == sizes[other]


@pytest.mark.parametrize(
    ("k", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (5, 3, 1), (7, 3, 2), (9, 3, 3), (15, 3, 3)],
)
def test_contact_sheet_has_full_rows(make_neurons: Any, k: int, columns: int, rows: int) -> None:
    sheet = contact_sheet(make_neurons(["conv"], 1, k=k)[0], tile=16)
    assert sheet is not None
    assert (sheet.columns, sheet.rows) == (columns, rows)
    for data in (sheet.image, sheet.overlay):
        assert decode(data).size == (columns * 16, rows * 16)


def test_contact_sheet_under_its_overlay_is_the_masked_image(neurons: Dataset) -> None:
    record = dict(neurons[0])
    ramp = PILImage.fromarray(np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))).convert("RGB")
    record["images"] = [ramp] * 9  # smooth, so that JPEG changes little
    sheet = contact_sheet(record, tile=32)  # the exemplars' own size
    assert sheet is not None
    plain = decode(sheet.image).convert("RGBA")
    shown = PILImage.alpha_composite(plain, decode(sheet.overlay).convert("RGBA")).convert("RGB")
    expected = image_grid(masked_images(record), 3, gap=0)
    difference = np.abs(np.asarray(shown, float) - np.asarray(expected, float))
    hidden = np.tile(np.repeat([False, True], 16), 3)  # rows outside the masks
    assert difference[hidden].mean() < 2
    assert difference[~hidden].mean() < 5


def test_contact_sheet_of_a_neuron_without_images_is_none(make_neurons: Any) -> None:
    assert contact_sheet(make_neurons(["conv"], 1, images=False)[0]) is None


def test_contact_sheet_crops_what_is_not_square(neurons: Dataset) -> None:
    record = dict(neurons[0])
    record["images"] = [image.resize((64, 32)) for image in record["images"]]
    record["masks"] = [mask.resize((64, 32)) for mask in record["masks"]]
    sheet = contact_sheet(record, tile=16)
    assert sheet is not None
    assert decode(sheet.image).size == (48, 48)


def test_cards_quote_methods_in_the_board_s_order(
    results: Path, neurons: Dataset, network: Dataset
) -> None:
    cards = cards_of(results, {"test": neurons, "network": network}, size=8)
    assert [card.split for card in cards] == ["test"] * 4 + ["network"] * 4
    first = cards[0]
    assert [line.method for line in first.quotes] == ["People", "Beta", "Alpha", "Gamma", "Random"]
    assert [line.value for line in first.quotes] == [0.95, 0.9, 0.8, 0.7, 0.5]
    assert first.quotes[1].text == f"beta says {first.key.layer}"
    assert first.references == ("a red circle", "round things", "discs")
    assert first.more == 0


def test_a_card_quotes_a_few_methods_and_counts_the_others(
    tmp_path: Path, neurons: Dataset, save_result: Any
) -> None:
    for i in range(QUOTES + 3):
        save_result(tmp_path, f"m{i:02}", {"identification": 0.9 - i / 100}, neurons=neurons)
    for card in cards_of(tmp_path, {"test": neurons}):
        assert [line.method for line in card.quotes] == [f"M{i:02}" for i in range(QUOTES)]
        assert card.more == 3


def test_cards_of_an_unscored_split_have_words_only(results: Path, network: Dataset) -> None:
    for card in cards_of(results, {"network": network}):
        assert card.references == ()
        assert [line.method for line in card.quotes] == ["Beta", "Alpha", "Gamma", "Random"]
        assert all(line.value is None for line in card.quotes)


def test_values_of_another_signature_are_not_shown(
    tmp_path: Path, neurons: Dataset, save_result: Any, make_score: Any
) -> None:
    save_result(tmp_path, "a", {"identification": make_score(0.7, "one")})
    save_result(tmp_path, "b", {"identification": make_score(0.9, "other")})
    quotes = cards_of(tmp_path, {"test": neurons})[0].quotes
    assert [(line.method, line.value) for line in quotes] == [("A", 0.7), ("B", None)]


def test_only_described_neurons_are_shown(results: Path, make_neurons: Any) -> None:
    cards = cards_of(results, {"test": make_neurons(["conv1", "new"])})
    assert {card.key.layer for card in cards} == {"conv1"}


def test_an_unknown_split_is_refused(results: Path, neurons: Dataset) -> None:
    with pytest.raises(InputError, match="no result has the split 'tests'; did you mean 'test'"):
        cards_of(results, {"tests": neurons})


def test_neurons_of_other_data_are_refused(results: Path, make_neurons: Any) -> None:
    with pytest.raises(InputError, match="none of the 2 neurons given for split 'test'"):
        cards_of(results, {"test": make_neurons(["elsewhere"], 2)})


def test_missing_words_and_values_are_empty(results: Path, neurons: Dataset) -> None:
    def nothing(table: pd.DataFrame) -> None:
        table["description"] = ""
        table["identification"] = float("nan")

    save_anew(
        results / "beta.json", table=nothing,
        result=lambda r: r["splits"]["test"]["scores"].pop("identification"),
    )  # fmt: skip
    line = next(x for x in cards_of(results, {"test": neurons})[0].quotes if x.method == "Beta")
    assert (line.text, line.value) == ("", None)


def test_values_that_are_no_numbers_are_refused(results: Path, neurons: Dataset) -> None:
    path = results / "beta.per_neuron.parquet"
    table = pd.read_parquet(path)
    table["identification"] = "high"
    table.to_parquet(path)
    with pytest.raises(InputError, match=r"beta\.per_neuron\.parquet: units and values must be"):
        cards_of(results, {"test": neurons})


def test_the_gallery_s_neurons_are_among_those_drawn(
    results: Path, neurons: Dataset, network: Dataset
) -> None:
    loaded = load_results(results)
    tables = neuron_tables(build_board(loaded), {"test": neurons, "network": network})
    few, more = (choose_pictures(tables, size, seed=5) for size in (5, 9))
    assert [len(few[number]) for number in (0, 1)] == [3, 2]
    assert all(set(few[number]) <= set(more[number]) for number in (0, 1))
    assert [len(places) for places in choose_pictures(tables, 100).values()] == [8, 6]
    with pytest.raises(InputError, match="-1 neurons are to be shown"):
        choose_pictures(tables, -1)


def test_pictures_are_files_of_the_right_neurons(
    results: Path, neurons: Dataset, tmp_path: Path
) -> None:
    loaded = load_results(results)
    shuffled = neurons.select([5, 2, 7, 0, 1, 3, 4, 6])
    (table, _) = neuron_tables(build_board(loaded), {"test": shuffled})
    found = draw_pictures(table, shuffled, [1, 6], tmp_path, lambda _: None)
    assert sorted(found) == [1, 6]
    for at, sheet in found.items():
        record = next(r for r in neurons if (r["layer"], r["unit"]) == table.keys[at][2:])
        expected = contact_sheet(record)
        assert expected is not None
        assert (tmp_path / sheet["image"]).read_bytes() == expected.image
        assert (tmp_path / sheet["overlay"]).read_bytes() == expected.overlay
