"""What strangers may send in: each of these is told, none of it is run, followed or unfolded."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaderboard.definition import BoardDefinition
from leaderboard.strict_yaml import MAX_BYTES, YamlError, read_mapping
from leaderboard.submission.checking import check
from leaderboard.submission.descriptions import MAX_CELL
from leaderboard.submission.package import MAX_TABLE
from leaderboard.submission.running import board_of
from leaderboard.submission.template import write_template
from leaderboard.submission.texts import fault_of
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from milannotations.untrusted_text import as_cell
from tests.chromium import HOSTILE
from tests.leaderboard.submission.conftest import Make, table

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        (BOMB, 1, "anchors"),
        ("a: &x 1\nb: *x", 1, "anchors"),
        ("a: 1\n<<: *x", 2, "merge keys"),
        ("a: 1\n<<: {b: 2}", 2, "merge keys"),
        ("a: 1\nb: {<<: {c: 2}}", 2, "merge keys"),
        ("a: 1\nb: [<<]", 2, "merge keys"),
        ("a: !!python/object/apply:os.system ['touch hacked']", 1, "tag"),
        ("a: !!python/name:os.system", 1, "tag"),
        ("a: !include /etc/passwd", 1, "tag"),
        ("a: 1\nb: !!binary aGFja2Vk", 2, "tag"),
        ("!!set {a, b}", 1, "tag"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: 1\nb: 2\na: 3", 3, "again, after line 1"),
        ("a: {b: 1, b: 2}", 1, "again"),
        ("a: " + "[" * 10 + "]" * 10, 1, "nested"),
        ("a: " + "[" * 30_000, 1, "nested"),
        ("a: " + "{x: " * 2000, 1, "nested"),
        ("a: [" + "1," * 6000 + "]", 1, "more than"),
        ("x" * (MAX_BYTES + 1), 1, "at most"),
        ("- a\n- b", 1, "not a mapping"),
        ("just a text", 1, "not a mapping"),
        ("", 1, "not a mapping"),
        ("? [1, 2]\n: x", 1, "not a text"),
        ("a: 'never closed", 1, "not YAML"),
        ("a: b: c", 1, "not YAML"),
        ("a: \x07", 1, "not YAML"),
        ("a: 0777", 1, "read differently"),
        ("\ta: 1", 1, "not YAML"),
    ],
)
def test_yaml_that_is_not_read(text: str, line: int, match: str) -> None:
    started = time.monotonic()
    with pytest.raises(YamlError, match=match) as caught:
        read_mapping(text.encode())
    assert caught.value.line == line
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("data", [b"a: \xff\xfe", "a: 1".encode("utf-16"), b"\x80abc: 1"])
def test_yaml_of_another_encoding(data: bytes) -> None:
    with pytest.raises(YamlError, match="not UTF-8"):
        read_mapping(data)


def test_sound_yaml_is_read_with_its_lines() -> None:
    plain, lines = read_mapping("\ufeff# so\na: 1\nb: [x, 'y: z']\n".encode())
    assert plain == {"a": 1, "b": ["x", "y: z"]}
    assert lines == {"a": 2, "b": 3}


BAD_NAMES = [
    "../../etc/passwd", "..", ".", "a/b", "a\\b", "/abs", "C:evil", "con", "nul", "com1", "index",
    "Ünïcode", "UPPER", "-dash", "", "a" * 65, "a.b", "a b", "a\nb", "<script>", "a%2e", "a\x00b",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_method_names_that_are_refused(make: Make, board: BoardDefinition, name: str) -> None:
    checked = check(make(name=name), board)
    assert checked.problems
    assert all(one.file == "submission.yaml" for one in checked.problems.items)
    assert all("\n" not in line and "\x00" not in line for line in checked.problems.lines())


@pytest.mark.parametrize("name", BAD_NAMES)
def test_templates_of_such_names_are_not_written(
    board: BoardDefinition, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="cannot be named"):
        write_template(name, board, tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["title", "authors", "paper", "annotations_seen", "licence"])
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("exe.\u202egnp", "U\\+202E"),
        ("\u2066hidden\u2069", "U\\+2066"),
        ("bell\x07", "control|YAML"),
        ("zero\u200bwidth", "U\\+200B"),
        ("tag\U000e0041", "U\\+E0041"),
        ("private\ue000", "private"),
        ("Z" + "\u0301" * 40, "combining"),
        ("x" * 100_000, "characters|bytes"),
    ],
)
def test_metadata_that_hide_something(
    make: Make, board: BoardDefinition, field: str, text: str, match: str
) -> None:
    checked = check(make(**{field: text}), board)
    assert checked.problems
    assert any(re.search(match, line) for line in checked.problems.lines())


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "data:text/html,<script>"}, "url"),
        ({"url": "https://x y"}, "url"),
        ({"kind": "admin"}, "kind"),
        ({"parameters": -1}, "parameters"),
        ({"parameters": 10**30}, "parameters"),
        ({"seed": True}, "seed"),
        ({"wall_time_s": float("inf")}, "infinity"),
        ({"wall_time_s": float("nan")}, "infinity"),
        ({"training_data": "demo"}, "training_data"),
        ({"training_data": ["x" * 300]}, "training_data"),
        ({"training_data": ["ImageNet"]}, "pretrained_on"),
        ({"training_data": ["../../etc"]}, "not a config"),
        ({"splits": []}, "splits"),
        ({"splits": ["frist"]}, "did you mean 'first'"),
        ({"splits": ["first", "first"]}, "twice"),
        ({"board": "small@1"}, "small@2"),
        ({"titel": "x"}, "did you mean 'title'"),
        ({"describer": "oracle"}, "anchors"),
        ({"describer": "os.system"}, "describer"),
        ({"__class__": "x"}, "not a field"),
        ({"title": {"a": "b"}}, "title"),
        ({"title": 5}, "title"),
    ],
)
def test_metadata_that_are_refused(
    make: Make, board: BoardDefinition, fields: dict[str, Any], match: str
) -> None:
    checked = check(make(**fields), board)
    lines = checked.problems.lines()
    assert any(match in line for line in lines), lines
    assert all(line.startswith("submission.yaml") for line in lines)


HEADER = b"model,dataset,layer,unit,description\n"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.replace(b"unit", b"unti"), "did you mean 'unti'"),
        (HEADER.replace(b"description", b"description,description"), "two columns"),
        (HEADER.replace(b"model", b"model,__proto__"), "not read"),
        (HEADER + b"net,shapes,conv1,0,a,b\n", ":2: 6 cells"),
        (HEADER + b"net,shapes,conv1,0\n", ":2: 4 cells"),
        (HEADER + b'net,shapes,conv1,0,"never closed\n', ":2: not a CSV"),
        (HEADER + b'net,shapes,conv1,0,"a"b\n', "not a CSV"),
        (HEADER + b"net,shapes,conv1,0,caf\xe9\n", ":2: not UTF-8"),
        ((HEADER + b"net,shapes,conv1,0,a\n").decode().encode("utf-16"), "UTF-16"),
        (HEADER + b"net,shapes,conv1,0,nul\x00byte\n", "NUL byte"),
        (HEADER + b"net,shapes,conv1,-1,a\n", ":2: unit '-1' is not a number"),
        (HEADER + b"net,shapes,conv1,1e9,a\n", "not a number"),
        (HEADER + "net,shapes,conv1,\u0663,a\n".encode(), "not a number"),
        (HEADER + b"net,shapes,conv1,99999999999999999999,a\n", "not a number"),
        (HEADER + b"net,shapes,conv1,7,a\n", "no such unit"),
        (HEADER + b"net,shapes,conv3,0,a\n", "did you mean"),
        (HEADER + b"../net,shapes,conv1,0,a\n", "no neuron"),
        (HEADER + b"net,shapes,conv1,0,a\nnet,shapes,conv1,0,b\n", ":3: .* again, after line 2"),
        (HEADER + b"net,shapes,conv1,0, . \n", "blank"),
        (HEADER + b'net,shapes,conv1,0,"two\nlines"\n', "U\\+000A"),
        (HEADER + b"net,shapes,conv1,0,\x1b[31mred\x1b[0m\n", "U\\+001B"),
        (HEADER + "net,shapes,conv1,0,\u202eevil\n".encode(), "U\\+202E"),
        (HEADER + "net,shapes,conv1,0,\ufdd0\n".encode(), "noncharacter"),
        (HEADER + b"net,shapes,conv1,0," + b"x" * 1001 + b"\n", "1,001 characters"),
        (
            HEADER + b"net,shapes,conv1,0," + b"x" * 1_000_000 + b"\n",
            "not a CSV: a cell of more than",
        ),
        (b"split," + HEADER + b"third,net,shapes,conv1,0,a\n", "'third' is none"),
    ],
)
def test_tables_that_are_refused(
    make: Make, board: BoardDefinition, data: bytes, match: str
) -> None:
    lines = check(make(data=data), board).problems.lines()
    assert any(re.search(match, line) for line in lines), lines
    assert all(line.isprintable() for line in lines)


def test_a_field_of_a_hundred_megabytes_is_not_even_read(
    make: Make, board: BoardDefinition, tmp_path: Path
) -> None:
    folder = make()
    with (folder / "descriptions.csv").open("wb") as file:
        file.write(HEADER + b"net,shapes,conv1,0,")
        file.truncate(100 * 2**20)
    started = time.monotonic()
    lines = check(folder, board).problems.lines()
    assert any("at most" in line for line in lines)
    assert time.monotonic() - started < 5


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def _columns(keys: list[NeuronKey], texts: list[Any]) -> dict[str, Any]:
    return {
        **{name: [getattr(key, name) for key in keys] for name in NeuronKey._fields},
        "description": texts,
    }


def test_parquet_is_read_like_csv(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    data = _parquet(_columns(keys, [f"text {i}" for i in range(len(keys))]))
    folder = make(data=data, table_name="descriptions.parquet")
    checked = check(folder, board)
    assert not checked.problems, checked.problems.lines()
    as_csv = make(
        dict(reversed([(key, f"text {i}") for i, key in enumerate(keys)])),
        where=folder.parent / "other",
    )
    assert check(as_csv, board).digest == checked.digest


@pytest.mark.parametrize("fault", ["null", "bytes", "list", "long", "garbage", "cut", "utf8"])
def test_parquet_that_is_refused(
    make: Make, board: BoardDefinition, keys: list[NeuronKey], fault: str
) -> None:
    texts: list[Any] = ["fine"] * len(keys)
    columns = _columns(keys, texts)
    if fault == "null":
        columns["description"] = [None, *texts[1:]]
    elif fault == "bytes":
        columns["description"] = [b"x"] * len(keys)
    elif fault == "list":
        columns["description"] = [["x"]] * len(keys)
    elif fault == "long":
        columns["description"] = ["x" * (MAX_CELL + 1)] * len(keys)
    elif fault == "utf8":
        raw = pa.array([b"\xff\xfe"] * len(keys), pa.binary())
        columns["description"] = pa.StringArray.from_buffers(len(keys), *raw.buffers()[1:])
    data = _parquet(columns)
    if fault == "garbage":
        data = b"PAR1" + os.urandom(200) + b"PAR1"
    elif fault == "cut":
        data = data[: len(data) // 2]
    lines = check(make(data=data, table_name="descriptions.parquet"), board).problems.lines()
    assert lines
    assert any(line.startswith("descriptions.parquet") for line in lines), lines


def test_a_parquet_bomb_is_not_unfolded(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    count = 200_000  # a long text named by each of 200,000 rows: 3 GB, if it were copied
    text = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int8()), ["x" * 15_000])
    data = _parquet(_columns([keys[0]] * count, text), use_dictionary=True)
    assert len(data) < 2_000_000
    started = time.monotonic()
    lines = check(make(data=data, table_name="descriptions.parquet"), board).problems.lines()
    assert lines
    assert time.monotonic() - started < 30


def _zip(folder: Path, *extra: tuple[Any, bytes]) -> Path:
    path = folder.parent / "sent.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"mine/{file.name}")
        for name, data in extra:
            archive.writestr(name, data)
    return path


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("mine/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def test_a_zip_is_worth_its_folder(make: Make, board: BoardDefinition) -> None:
    folder = make()
    path = _zip(folder, ("__MACOSX/x", b""), ("mine/.DS_Store", b""), ("mine/notes.txt", b"x"))
    assert check(path, board).digest == check(folder, board).digest
    assert not check(path, board).problems


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("../evil", b"x"),
        ("/etc/cron.d/evil", b"x"),
        ("mine/../../evil", b"x"),
        ("mine\\..\\evil", b"x"),
        ("C:/evil", b"x"),
        ("mine/a\nb", b"x"),
        ("mine/bomb", b"\0" * 150_000_000),
        (_link(), b"/etc/passwd"),
    ],
)
def test_zips_that_are_not_trusted(
    make: Make, board: BoardDefinition, name: Any, data: bytes
) -> None:
    with pytest.raises(InputError, match=r"not trusted|are read"):
        check(_zip(make(), (name, data)), board)


def test_a_zip_of_too_many_members(make: Make, board: BoardDefinition) -> None:
    with pytest.raises(InputError, match="members"):
        check(_zip(make(), *((f"mine/{i}", b"") for i in range(30))), board)


def test_a_zip_with_a_file_twice(make: Make, board: BoardDefinition) -> None:
    path = _zip(make(), ("other/submission.yaml", b"a: 1"))
    assert any("twice" in line for line in check(path, board).problems.lines())


def test_a_zip_with_a_table_that_is_too_large(make: Make, board: BoardDefinition) -> None:
    folder = make()
    rows = os.urandom(2**20).hex().encode()  # hardly compresses, so that no ratio tells it
    (folder / "descriptions.csv").write_bytes(rows * (MAX_TABLE // len(rows) + 1))
    assert any("at most" in line for line in check(_zip(folder), board).problems.lines())


def test_a_zip_with_a_wrong_checksum(make: Make, board: BoardDefinition) -> None:
    path = _zip(make())
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("mine/submission.yaml")
    local = info.header_offset
    central = data.rindex(b"PK\x01\x02", 0, data.rindex(b"mine/submission.yaml"))
    for at in (local + 14, central + 16):
        data[at : at + 4] = struct.pack("<I", zlib.crc32(b"other"))
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        check(path, board)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"not a zip at all", b"PK\x05\x06" + b"\0" * 18]
)
def test_files_that_are_no_zip(board: BoardDefinition, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "sent.zip"
    path.write_bytes(data)
    try:
        assert check(path, board).problems  # an empty zip: both files are missing
    except InputError as error:
        assert "no complete zip" in str(error)


def test_links_and_pipes_are_not_followed(
    make: Make, board: BoardDefinition, tmp_path: Path
) -> None:
    folder = make()
    secret = tmp_path / "secret.csv"
    (folder / "descriptions.csv").rename(secret)
    (folder / "descriptions.csv").symlink_to(secret)
    assert any("is a link" in line for line in check(folder, board).problems.lines())
    (folder / "descriptions.csv").unlink()
    os.mkfifo(folder / "descriptions.csv")
    assert any("is a link" in line for line in check(folder, board).problems.lines())


@pytest.mark.parametrize("name", ["../../tmp/evil", "/etc", ".", "~root", "a/b", ""])
def test_a_submission_names_no_folder_as_its_board(make: Make, name: str) -> None:
    assert board_of(make(board=name), None).name == "demo"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|' /C calc'!A0", "|x", "%0A=1",
     "\uff1d1", "\n=1"],
)  # fmt: skip
def test_cells_are_no_formulas(text: str) -> None:
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a dog", "1 = 1", "", "dogs-and-cats", "'quoted'"])
def test_plain_cells_stay(text: str) -> None:
    assert as_cell(text) == text


def test_markup_is_a_text_like_any_other(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    """It is shown, escaped, and does no harm: see the tests in a browser."""
    checked = check(make(dict.fromkeys(keys, HOSTILE), title=HOSTILE[:200]), board)
    assert not checked.problems


@pytest.mark.parametrize(
    "text",
    [
        "naïve café",
        "犬の顔",
        "كلب",
        "👩‍👩‍👧",
        "e\u0301tude",
        "नमस्ते",
        "a\u00a0b",
        "Việt Nam",
        "x" * 1000,
    ],
)
def test_texts_of_all_scripts_are_taken(text: str) -> None:
    assert fault_of(text) == ""


def test_a_thousand_faults_are_told_briefly(
    make: Make, board: BoardDefinition, keys: list[NeuronKey]
) -> None:
    data = table(dict.fromkeys(keys, "fine")) + b"net,shapes,conv9,0,a\n" * 5000
    problems = check(make(data=data), board).problems
    assert problems.total == 5000
    assert len(problems.lines()) == 6
    assert "4,995 more" in problems.lines()[-1]
