from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Annotated

import pytest
import typer

from milannotations.strict_options import make_strict

app = typer.Typer()
below = typer.Typer()
app.add_typer(below, name="below")


@below.command()
def show(
    seed: Annotated[int, typer.Option(min=0)] = 0,
    rate: Annotated[float | None, typer.Option()] = None,
    units: Annotated[list[int] | None, typer.Option()] = None,
    title: Annotated[str, typer.Option()] = "1_0",
    flag: Annotated[bool, typer.Option()] = False,
) -> None:
    print(seed, rate, units, title, flag)


@below.command()
def other() -> None:
    """Make ``below`` a group."""


def _run(*arguments: str) -> tuple[int, str]:
    command = make_strict(typer.main.get_command(app))
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), pytest.raises(SystemExit) as end:
        command.main(["below", "show", *arguments])
    return int(end.value.code or 0), output.getvalue()


def test_plain_numbers_and_texts_are_read() -> None:
    status, output = _run(
        "--seed", "12", "--rate", "-1.5e-3", "--units", "1", "--units", "2", "--title", "2_0",
        "--flag",
    )  # fmt: skip
    assert (status, output.strip()) == (0, "12 -0.0015 [1, 2] 2_0 True")
    assert _run() == (0, "0 None None 1_0 False\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed", "1_0"),
        ("--seed", "１２"),
        ("--seed", "٣"),
        ("--seed", "9" * 60),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--rate", "1e999"),
        ("--rate", "1e-999"),
        ("--rate", "0.0_1"),
        ("--units", "1", "--units", "2_0"),
    ],
)
def test_numbers_with_a_second_meaning_are_refused(arguments: tuple[str, ...]) -> None:
    status, output = _run(*arguments)
    assert status == 2
    assert arguments[-2] in output
