"""Every bad input through every reader that could meet it; see ``cases.py``."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.bad_inputs.cases import (
    EXPECTED,
    FOLDER,
    MAX_BYTES,
    OUTCOMES,
    Seen,
    cases,
    inputs_table,
    judged,
    pairs,
    readers,
    recipes,
    seen,
    table,
)

PAIRS = pairs()
IDS = [f"{case.kind}/{case.name}: {one.name}" for case, one in PAIRS]
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
INPUTS = PAGE.with_name("inputs.md")
BEGIN, END = "<!-- bad inputs: begin -->\n", "\n<!-- bad inputs: end -->"


@cache
def ran(number: int) -> Seen:
    """Run a pair once: the table needs what the tests have seen."""
    with tempfile.TemporaryDirectory() as work:
        return seen(*PAIRS[number], Path(work))


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=IDS)
def test_the_reader_says_what_is_expected(number: int) -> None:
    case, one = PAIRS[number]
    what = ran(number)
    expected = case.expected(one)
    assert expected is not None
    assert what.outcome == expected.outcome, f"{case.wrong}: {what}"
    assert judged(case, one, what) == expected.outcome, f"{case.wrong}: {what}"
    assert expected.piece in what.sentence, f"{case.wrong}: {what}"


def test_the_table_on_the_page_is_what_the_readers_do() -> None:
    counts: dict[str, Counter[str]] = {name: Counter() for name in readers()}
    for number, (case, one) in enumerate(PAIRS):
        counts[one.name][judged(case, one, ran(number))] += 1
    text = PAGE.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0]
    assert written == table(counts), "run: python scripts/try_bad_inputs.py --write"
    last = [int(cell) for cell in written.splitlines()[-1].split("|")[3:-1]]
    totals = dict(zip(OUTCOMES, last, strict=True))
    assert (totals["silent"], totals["traceback"]) == (0, 0)


def test_the_page_of_inputs_says_what_is_expected() -> None:
    text = INPUTS.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0]
    assert written == inputs_table(), "run: python scripts/try_bad_inputs.py --write"


def test_every_file_is_expected_and_every_case_is_run() -> None:
    expected = {(case.kind, case.name) for case in cases()}
    files = {
        (folder.name, file.name)
        for folder in FOLDER.iterdir()
        if (folder / EXPECTED).is_file()
        for file in folder.iterdir()
        if file.name != EXPECTED
    }
    assert files <= expected, "a file without a line in expected.yaml"
    assert expected == files | set(recipes()), "a case without a file or a recipe"
    assert {(case.kind, case.name) for case, _ in PAIRS} == expected, "a case that no reader takes"
    for case in cases():
        assert not set(case.readers) - set(readers()), f"{case}: no such reader"


def test_kept_files_are_small() -> None:
    code = {".py", ".pyc", ".yaml"}
    files = [file for file in FOLDER.rglob("*") if file.is_file() and file.suffix not in code]
    assert not [file for file in files if file.stat().st_size > MAX_BYTES], "use recipes.py"
