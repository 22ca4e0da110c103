"""The one reader of tables: what csv writes comes back, and damage never changes another row."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from milannotations.annotations import read_descriptions
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from milannotations.rows import MAX_CELL, Scan, plain_rows
from milannotations.tables import TableError
from milannotations.texts import fault_of, is_blank

COLUMNS = ("layer", "unit", "description")
# Texts that describers may write, among them all that has a meaning to csv.
TEXTS = st.text(
    st.one_of(st.sampled_from("ab ,;\t\"'\n\r=-.0é犬"), st.characters(codec="utf-8")), max_size=12
).filter(lambda text: not is_blank(text) and not fault_of(text, lines=True))
ROWS = st.lists(
    st.tuples(st.sampled_from(["conv1", "a b", "层"]), st.integers(0, 99), TEXTS),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[:2],
)
WRITTEN = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)
Read = dict[NeuronKey, str]


def written(rows: list[tuple[str, int, str]], **how: object) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **how).writerows([COLUMNS, *rows])
    return file.getvalue()


def read(data: bytes) -> Read | None:
    """Return what the reader of descriptions returns; None if it refuses."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "d.csv"
        path.write_bytes(data)
        try:
            return read_descriptions(path)
        except InputError:
            return None


def wanted(rows: list[tuple[str, int, str]]) -> Read:
    return {NeuronKey("", "", layer, unit): text for layer, unit, text in rows}


@given(ROWS, WRITTEN, st.booleans())
@example([("conv1", 0, "dog\n1,2,3")], {"delimiter": ","}, False)
@settings(max_examples=150, deadline=None)
def test_what_csv_writes_is_read_or_refused(
    rows: list[tuple[str, int, str]], how: dict[str, object], marked: bool
) -> None:
    if how.get("quoting", csv.QUOTE_MINIMAL) == csv.QUOTE_MINIMAL:
        # csv quotes only those line ends that it writes itself: "a\r" is written as two lines.
        rows = [(layer, unit, re.sub("[\r\n]", " ", text)) for layer, unit, text in rows]
        rows = [row for row in rows if not is_blank(row[2])]
        assume(rows)
    rows_read = read(written(rows, **how).encode("utf-8-sig" if marked else "utf-8"))
    if rows_read is None:  # only for a text that itself looks like rows of the table
        assert any("\n" in text or "\r" in text for _, _, text in rows)
    else:
        assert rows_read == wanted(rows)


PLAIN = st.text(st.sampled_from("abc dog."), min_size=1, max_size=8).filter(
    lambda text: not is_blank(text)
)


@given(
    st.lists(PLAIN, min_size=2, max_size=6),
    st.data(),
    st.sampled_from(["delete", "insert", "replace"]),
)
@settings(max_examples=300, deadline=None)
def test_one_damaged_byte_changes_one_row_at_most(
    texts: list[str], data: st.DataObject, how: str
) -> None:
    rows = [("conv1", unit, text) for unit, text in enumerate(texts)]
    good = bytearray(written(rows, lineterminator="\n").encode())
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.sampled_from(b'",;\t\n\r\0a1\xff'))
    if how == "delete":
        del good[at]
    elif how == "insert":
        good.insert(at, byte)
    else:
        good[at] = byte
    rows_read = read(bytes(good))
    if rows_read is None:
        return
    before = wanted(rows)
    # A row may have another unit, layer or text now; the others stand as they did.
    assert len(rows_read) == len(before)
    assert len(before.items() - rows_read.items()) <= 1


@given(st.lists(PLAIN, min_size=2, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_a_cell_too_few_or_too_many_is_refused(texts: list[str], data: st.DataObject) -> None:
    table = [[*map(str, row)] for row in (("conv1", u, t) for u, t in enumerate(texts))]
    row = data.draw(st.sampled_from(table))
    if data.draw(st.booleans()):
        del row[data.draw(st.integers(0, 2))]
    else:
        row.insert(data.draw(st.integers(0, 3)), "x")
    file = io.StringIO(newline="")
    csv.writer(file).writerows([COLUMNS, *table])
    assert read(file.getvalue().encode()) is None


def test_faults_have_the_line_on_which_the_row_begins() -> None:
    text = 'layer,unit,description\n"a",0,"two\nlines"\n\nb,1\nc,2,x,y\nd,3,z\n'
    lines = list(Scan(text, COLUMNS))
    assert [(line.number, bool(line.fault)) for line in lines] == [
        (2, False), (5, True), (6, True), (7, False),
    ]  # fmt: skip
    assert lines[0].cells == ["a", "0", "two\nlines"]


def test_a_long_cell_and_a_wide_table_are_refused_at_once() -> None:
    long = "layer,unit,description\nconv1,0," + "x" * (MAX_CELL + 1)
    for text, piece in (
        (long, "131,072 characters"),
        (",".join(COLUMNS) + ",x" * 100_000, "100,003 columns"),
    ):
        with pytest.raises(TableError, match=piece):
            list(Scan(text, COLUMNS))


def test_tables_without_a_header() -> None:
    assert [line.cells for line in plain_rows(b"\xef\xbb\xbf1,2\r\n\r\n3,4")] == [
        ["1", "2"], ["3", "4"],
    ]  # fmt: skip


@pytest.mark.parametrize("blank", [",,", ",", ",,,,,", "  ", " , , ", '"","",""'])
def test_rows_without_a_text_in_any_cell_are_left_out(blank: str) -> None:
    text = f"layer,unit,description\n{blank}\nconv1,0,a dog\n{blank}\n{blank}\n"
    assert [line.cells for line in Scan(text, COLUMNS)] == [["conv1", "0", "a dog"]]


def test_an_empty_cell_in_a_table_of_one_column_is_a_row() -> None:
    assert [line.cells for line in Scan('name\n" "\ndog\n', ("name",))] == [[" "], ["dog"]]
