"""Parquet files of anyone: what they hold, or one sentence, in little memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milannotations.annotations import read_annotations, read_descriptions
from milannotations.attach.shards import open_shards
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint_of_files
from milannotations.loading import load
from milannotations.parquet import check_unpacked, open_parquet, read_table
from milannotations.parquet.sizes import plain, row_sizes
from tests.milannotations.damage import Edit, damaged, edits
from tests.milannotations.parquet import bombs

DEMO = sorted(Path("milannotations/data/demo").glob("*.parquet"))


@pytest.mark.parametrize("name", bombs.BAD)
def test_bad_files_are_one_sentence(name: str, tmp_path: Path) -> None:
    """For every reader."""
    make, message = bombs.BAD[name]
    path = tmp_path / "data" / "sent.parquet"
    path.parent.mkdir()
    path.write_bytes(make())
    for read in (read_table, read_descriptions, read_annotations, load):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 500 + len(str(path))
    for read_folder in (lambda folder: open_shards(folder, False), load):
        with pytest.raises(InputError, match=message):
            read_folder(tmp_path)
    with pytest.raises(InputError, match=message):
        fingerprint_of_files([path])


@pytest.mark.parametrize("name", bombs.WORDS_OF_OTHER_TYPES)
def test_words_of_other_types_are_refused(name: str, tmp_path: Path) -> None:
    """What is no text is not made one."""
    make, message = bombs.WORDS_OF_OTHER_TYPES[name]
    path = tmp_path / "sent.parquet"
    path.write_bytes(make())
    for read in (read_descriptions, read_annotations):
        with pytest.raises(InputError, match=message):
            read(path)


def test_words_are_read(tmp_path: Path) -> None:
    """Texts in dictionaries too, large ones, and units that are written as fractions."""
    path = tmp_path / "sent.parquet"
    kinds = (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
    for kind in kinds:
        for units in ([0, 1, 2], [0.0, 1.0, 2.0], ["0", "1", "2"]):
            texts = pa.array(["a dog", "a cat", "a dog"]).cast(kind)
            path.write_bytes(bombs.written(bombs.words(unit=pa.array(units), description=texts)))
            assert [*read_descriptions(path).values()] == ["a dog", "a cat", "a dog"]
            assert [key.unit for key in read_annotations(path)] == [0, 1, 2]


_CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30,) * 2)
from pathlib import Path
from milannotations.annotations import read_descriptions
from milannotations.errors import InputError
from milannotations.loading import load
from milannotations.parquet import open_parquet, read_table
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def records(path):
    with open_parquet(path) as file:
        for batch in file.batches():
            pass
outcomes = {}
before = peak()
for path in map(Path, sys.argv[1:]):
    for read in (read_table, read_descriptions, load, records):
        try:
            read(path)
            outcomes[f"{path.stem} {read.__name__}"] = "read"
        except InputError as error:
            outcomes[f"{path.stem} {read.__name__}"] = str(error)
print(json.dumps([peak() - before, outcomes]))
"""


@pytest.mark.slow
def test_bombs_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files below 1 MB that would take up to 15 GB: nothing that reads them takes 1.5 GB."""
    paths = []
    for name, make in {**bombs.RECORD_BOMBS, "words": bombs.words_bomb}.items():
        path = tmp_path / name.replace(" ", "-") / "data" / f"{name.replace(' ', '-')}.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(make())
        assert path.stat().st_size < 2**20
        paths.append(str(path))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, *paths], capture_output=True, text=True, timeout=500
    )
    assert child.returncode == 0, child.stderr
    mebibytes, said = json.loads(child.stdout.splitlines()[-1])
    assert mebibytes < 1_500, said
    refused = {name for name, line in said.items() if "unpacked" in line}
    assert {f"{name.replace(' ', '-')} load" for name in bombs.RECORD_BOMBS} <= refused
    assert {"words read_table", "words read_descriptions", "words records"} <= refused


@pytest.mark.parametrize("name", ["one annotation everywhere", "one picture everywhere"])
def test_what_takes_far_more_than_its_bytes_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By row, by row group and by file; what is in proportion is read."""
    path = tmp_path / "data" / "small.parquet"
    path.parent.mkdir()
    table = (
        bombs.same_annotation(100, "dog " * 5_000)
        if name == "one annotation everywhere"
        else bombs.same_images(100, 3, 20_000)
    )
    path.write_bytes(bombs.written(table))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with open_parquet(path) as file:
        assert sum(map(len, file.batches())) == 100
    check_unpacked([path])
    monkeypatch.setattr("milannotations.parquet.reading._GROUP_BYTES", 100_000)
    monkeypatch.setattr("milannotations.parquet.reading._FILE_BYTES", 100_000)
    for read in (lambda: load(path), lambda: check_unpacked([path])):
        with pytest.raises(InputError, match=r"row group 1 has .* unpacked; it is not trusted"):
            read()
    with open_parquet(path) as file, pytest.raises(InputError, match="bytes and would take more"):
        list(file.batches())
    monkeypatch.setattr("milannotations.parquet.reading.MAX_ROW_BYTES", 20_000)
    with open_parquet(path) as file, pytest.raises(InputError, match="row 1 would take"):
        list(file.batches())


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_good_files_are_read_as_arrow_reads_them(path: Path) -> None:
    """Whole and in pieces, with types, metadata and order."""
    expected = pq.read_table(path)
    check_unpacked([path])
    assert read_table(path).equals(expected, check_metadata=True)
    with open_parquet(path) as file:
        for rows in (1, 7, 1000):
            assert pa.Table.from_batches(file.batches(rows=rows)).equals(expected)
        batch_table = pa.Table.from_batches(file.batches(["unit", "annotations"]))
        assert batch_table.equals(expected.select(["unit", "annotations"]))


def test_large_rows_come_in_small_batches(tmp_path: Path) -> None:
    """A batch has at most 64 MiB, or one row; the records are the same."""
    path = tmp_path / "large.parquet"
    path.write_bytes(bombs.written(bombs.same_images(150, 10, 100_000)))
    with open_parquet(path) as file:
        batches = [*file.batches(rows=256)]
        assert len(batches) > 2
        assert max(batch.nbytes for batch in batches) < 80 * 2**20
        whole = pa.Table.from_batches(batches)
    assert whole.equals(pq.read_table(path).cast(whole.schema))


def test_tables_are_read_up_to_their_limits(tmp_path: Path) -> None:
    """Of rows, and of bytes unpacked; both are exact."""
    path = tmp_path / "t.parquet"
    path.write_bytes(bombs.written(pa.table({"a": ["12345678"] * 100})))
    assert len(read_table(path, most_rows=100, most_bytes=800)) == 100
    with pytest.raises(InputError, match="has 100 rows; at most 99"):
        read_table(path, most_rows=99)
    with pytest.raises(InputError, match="more than 799 bytes unpacked"):
        read_table(path, most_bytes=799)
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.parquet")


def test_errors_of_the_block_stay_what_they_are(tmp_path: Path) -> None:
    """A full disk while a file is read is not the file's fault."""
    path = tmp_path / "t.parquet"
    path.write_bytes(bombs.GOOD)
    with pytest.raises(OSError, match="no room"), open_parquet(path):
        raise OSError("no room")


VALUES = st.one_of(
    st.none(),
    st.lists(
        st.one_of(st.none(), st.fixed_dictionaries({
            "bytes": st.one_of(st.none(), st.binary(max_size=9)),
            "ids": st.one_of(st.none(), st.lists(st.integers(-9, 9), max_size=3)),
        })),
        max_size=4,
    ),
)  # fmt: skip


def _size(value: object) -> int:
    """What a value takes: the bytes of its texts, and 8 for each number."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return sum(map(_size, value))
    if isinstance(value, dict):
        # A list that is no list takes nothing; a number that is none keeps its place.
        return sum(map(_size, value.values()))
    return 8 if isinstance(value, int) else 0


@settings(max_examples=150, deadline=None)
@given(values=st.lists(VALUES, max_size=8), start=st.integers(0, 3))
def test_sizes_of_rows_are_those_of_their_values(values: list, start: int) -> None:
    """In lists and structures, with dictionaries and without, whole and in slices."""
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("ids", pa.list_(pa.int64()))]))
    array = pa.array(values, kind)
    expected = [_size(value) for value in values]
    assert row_sizes(array).tolist() == expected
    assert row_sizes(array.slice(start)).tolist() == expected[start:]
    stream = io.BytesIO()
    pq.write_table(pa.table({"x": array}), stream)
    folded = pq.ParquetFile(
        pa.BufferReader(stream.getvalue()), read_dictionary=["x.list.element.bytes"]
    ).read()["x"]
    assert plain(folded.type) == kind
    sizes = [size for chunk in folded.chunks for size in row_sizes(chunk).tolist()]
    assert sizes == expected


@settings(max_examples=250, deadline=None)
@given(changes=edits(5000, most=3))
def test_changed_files_are_refused_or_read(
    changes: list[Edit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens to the bytes of a table: a table, or one sentence that names it."""
    data = damaged(_TABLE, changes)
    path = tmp_path_factory.getbasetemp() / "changed.parquet"
    path.write_bytes(data)
    try:
        with open_parquet(path) as file:
            for batch in file.batches():
                batch.to_pylist()
    except InputError as error:
        assert str(path) in str(error)
    except UnicodeDecodeError:
        pytest.fail("a text that is no UTF-8 came through")


_TABLE = bombs.written(
    bombs.records(3, annotations=[["a dog", "a cat"]] * 3, image_ids=[[1, 2]] * 3,
                  activations=[[0.5, 0.25]] * 3),
    compression="none", use_dictionary=True, data_page_version="1.0",
)  # fmt: skip
