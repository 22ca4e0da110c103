"""Figures of the reports: whatever they are given, a PNG of a sensible size comes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from applications.figures.panels import (
    LayerPanel,
    Panel,
    PlotLine,
    by_layer,
    curves,
    matches_by_layer,
    pairs,
)
from applications.figures.style import fitting, intervals, short

NASTY = "_$x_1$ \\frac{1 </svg> 猫 😀 \u202e العربية \x00 \ud800 " + "long" * 40
NAN = float("nan")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.info["dpi"][0] == pytest.approx(160, abs=0.5)
        return image.size


def lines(text: str = "a line", count: int = 11) -> list[PlotLine]:
    x = [10.0 * i for i in range(count)]
    down = [0.9 - 0.03 * i for i in range(count)]
    return [
        PlotLine("random", x, down, [y - 0.02 for y in down], [y + 0.02 for y in down], "random"),
        PlotLine(text, x, [y * y for y in down], kind="method", marks={15.0: text, 100.0: "end"}),
        *(PlotLine(f"{text} {i}", x, [y / i for y in down]) for i in range(1, 8)),
    ]


def value(at: float) -> tuple[float, float, float]:
    return at, at - 0.05, at + 0.05


DRAWERS: dict[str, Callable[[Path, str], Path]] = {
    "curves": lambda path, text: curves(
        path, [Panel(text, lines(text), text, text, 0.9, text)] * 7, note=text
    ),
    "by_layer": lambda path, text: by_layer(
        path, [LayerPanel(text, {text: [value(0.2), value(0.4)], "b": [value(0.5)] * 2}, text)] * 4,
        [text, f"{text} 2"], note=text,
    ),
    "matches": lambda path, text: matches_by_layer(
        path, {text: [value(0.2)] * 30, "b": [value(0.1)] * 30}, [text] * 30, text, note=text
    ),
    "pairs": lambda path, text: pairs(
        path, [(text, {text: value(0.2), "b": value(0.3)}), ("other", {"b": value(0.2)})],
        text, text, note=text, percent=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("drawer", DRAWERS)
def test_texts_of_others_are_drawn_as_they_are(tmp_path: Path, drawer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in (NASTY, "plain"):
            path = tmp_path / f"{len(text)}.png"
            assert DRAWERS[drawer](path, text) == path
            width, height = size(path)
            assert width == 1200 and 200 < height < 1600
    assert len(list(tmp_path.iterdir())) == 2  # nothing half-written is left


@pytest.mark.parametrize("drawer", DRAWERS)
def test_the_same_numbers_give_the_same_file(tmp_path: Path, drawer: str) -> None:
    one, two = (DRAWERS[drawer](tmp_path / name, "text") for name in ("one.png", "two.png"))
    assert one.read_bytes() == two.read_bytes()
    assert b"matplotlib" not in one.read_bytes()


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    empty = PlotLine("empty", [], [], [], [], "random", {3.0: "mark"})
    panels = [Panel("no lines", [], "x", "y"), Panel("empty", [empty], "x", "y", level=0.5)]
    unknown = Panel("unknown", [PlotLine("n", [0, 1], [NAN, NAN], marks={1: "?"})], "x", "y")
    single = Panel(
        "one point", [PlotLine("n", [5], [0.5], kind="method", marks={5: "5"})], "x", "y"
    )
    assert size(curves(tmp_path / "a.png", []))[0] == 1200
    assert size(curves(tmp_path / "b.png", [*panels, unknown, single], same_y=True))[0] == 1200
    assert size(by_layer(tmp_path / "c.png", [], []))[0] == 1200
    assert size(by_layer(tmp_path / "d.png", [LayerPanel("t", {}, "u")], ["conv"]))[0] == 1200
    lost = LayerPanel("t", {"a": [(NAN, NAN, NAN), value(0.5)]}, "u", percent=True)
    assert size(by_layer(tmp_path / "e.png", [lost], ["conv", "fc"]))[0] == 1200
    assert size(matches_by_layer(tmp_path / "f.png", {}, [], "t"))[0] == 1200
    assert size(pairs(tmp_path / "g.png", [], "t", "u"))[0] == 1200
    assert size(pairs(tmp_path / "h.png", [("a", {})], "t", "u"))[0] == 1200


def test_many_rows_are_cut_so_that_they_can_be_read(tmp_path: Path) -> None:
    rows = [(f"row {i}", {"a": value(i)}) for i in range(500)]
    assert size(pairs(tmp_path / "a.png", rows, "t", "u"))[1] < 3000


def test_lengths_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'a' must be equally long"):
        PlotLine("a", [1, 2], [1])
    with pytest.raises(ValueError, match="'a' must be equally long"):
        PlotLine("a", [1], [1], low=[0])
    with pytest.raises(ValueError, match="1 values for 2 places"):
        matches_by_layer(tmp_path / "a.png", {"m": [value(0.5)]}, ["x", "y"], "t")
    assert not list(tmp_path.iterdir())


def test_intervals_never_reach_backwards() -> None:
    assert intervals([(0.5, 0.6, 0.4)], 1).tolist() == [[0.5], [0.0], [0.0]]


def test_long_labels_lose_their_middle() -> None:
    assert short("layer4.2.conv3") == "layer4.2.conv3"
    cut = short("features.denseblock4.layer16.conv2", 20)
    assert len(cut) <= 20 and cut.startswith("features") and cut.endswith("conv2") and "…" in cut
    assert short("two\nlines \u202e") == "two lines"


@pytest.mark.parametrize(
    ("count", "most", "columns"), [(0, 4, 1), (1, 4, 1), (4, 3, 2), (5, 4, 3), (7, 4, 4), (9, 3, 3)]
)
def test_plots_fill_their_rows(count: int, most: int, columns: int) -> None:
    assert fitting(count, most) == columns
