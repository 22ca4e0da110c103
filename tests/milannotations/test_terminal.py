"""Tables for terminals: within their width, with every number whole, at any width."""

from __future__ import annotations

import io
import random
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from benchmark.quality.rendering import for_terminal
from benchmark.result import Method, MetricInfo, Result, Score, SplitResult
from benchmark.score_tables import terminal_table
from milannotations.cli import app
from milannotations.terminal import FittedTable

BORDERS = re.compile("[┏┳┓┃┡╇┩│└┴┘━─]")


def printed(table: RenderableType, width: int = 80) -> list[str]:
    """Return the lines of a table as they are printed where there is no terminal."""
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue().splitlines()


def tokens(lines: list[str]) -> list[str]:
    return BORDERS.sub(" ", "\n".join(lines)).split()


def results(methods: int, metrics: int) -> list[Result]:
    """Return results whose names and numbers are long."""
    rng = random.Random(0)
    metric_infos = {
        f"metric-{m}": MetricInfo(title=f"Identification accuracy {m}") for m in range(metrics)
    }
    return [
        Result(
            method=Method(name=f"m{n}", title=f"a method of a rather long name, number {n}"),
            metrics=metric_infos,
            splits={
                "test": SplitResult(
                    fingerprint="f", neurons=9, scored=9,
                    scores={
                        m: Score(value=v, low=v - 0.1, high=v + 0.1, n=9, signature="s")
                        for m in metric_infos
                        for v in [rng.uniform(-12345, 12345)]
                    },
                )
            },
        )
        for n in range(methods)
    ]  # fmt: skip


@pytest.mark.parametrize("metrics", [1, 3, 4, 9, 16])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_scores_fit_and_no_number_is_cut(metrics: int, width: int) -> None:
    made = results(3, metrics)
    lines = printed(terminal_table(made, "test", "Scores"), width)
    assert max(map(cell_len, lines)) <= width
    shown = tokens(lines)
    for result in made:
        for score in result.splits["test"].scores.values():
            assert f"{score.value:.3f}" in shown
            if metrics < 4:  # of more columns intervals are left out
                assert f"[{score.low:.3f}," in shown and f"{score.high:.3f}]" in shown
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("seed", range(20))
def test_any_table_at_any_width(seed: int) -> None:
    rng = random.Random(seed)
    columns = rng.randint(1, 12)
    words = set(range(rng.randint(1, columns)))
    long = ["", "a", "discombobulated " * 3, "x" * 40, "[not markup]", "犬の顔" * 6]
    rows = [
        [
            rng.choice(long) if column in words else f"{rng.uniform(-1e6, 1e6):.3f}"
            for column in range(columns)
        ]
        for _ in range(4)
    ]  # fmt: skip
    table = FittedTable("[a] title", [f"column {i}" for i in range(columns)], rows,
                        words=words, caption="a caption", keys=1)  # fmt: skip
    for width in (40, 80, 133):
        lines = printed(table, width)
        assert max(map(cell_len, lines)) <= width
        numbers = [cell for row in rows for i, cell in enumerate(row) if i not in words]
        shown = tokens(lines)
        assert all(number in shown for number in numbers)
        assert "[a] title" in " ".join(lines[0].split())


def test_key_columns_are_repeated() -> None:
    head = ["name", *(f"number {i}" for i in range(12))]
    table = FittedTable("", head, [["first", *["123456.789"] * 12]])
    text = "\n".join(printed(table))
    assert text.count("first") == text.count("name") >= 2
    assert text.count("123456.789") == 12


def test_the_list_of_splits_fits() -> None:
    done = CliRunner().invoke(app, ["splits", "list"])
    assert done.exit_code == 0, done.output
    assert max(map(cell_len, done.output.splitlines())) <= 80
    # Where the columns share too little room, words wrap, and figures do not.
    assert {"1,200", "15,168"} & set(tokens(done.output.splitlines()))


def test_quality_reports_fit() -> None:
    from benchmark.quality.measure import measure
    from milannotations.annotations import to_dataset
    from milannotations.record import NeuronKey

    texts = {
        NeuronKey("a_model_with_a_long_name", "imagenet", f"layer{i % 4}.block.conv", i): [
            f"red things number {i}", "dogs and cats", f"{i} edges"
        ]
        for i in range(24)
    }  # fmt: skip
    for table in for_terminal(measure(to_dataset(texts), resamples=10, name="made-up.csv")):
        lines = printed(table)
        assert max(map(cell_len, lines), default=0) <= 80
        assert "…" not in "".join(lines)
