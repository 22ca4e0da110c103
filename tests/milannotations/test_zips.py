"""Zips of anyone: one sentence for what cannot be trusted, and nothing unpacked before."""

from __future__ import annotations

import io
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from milannotations.errors import InputError
from milannotations.zips import open_zip, zip_errors
from tests.milannotations.damage import Edit, damaged, edits

CONTENT = {"a/one.txt": b"one " * 50, "a/two.txt": b"two"}


def _zip(members: dict[str, bytes] | None = None, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (CONTENT if members is None else members).items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        archive.comment = comment
    return stream.getvalue()


def _streamed() -> bytes:
    """Return a zip whose sizes follow its members ("data descriptors"), as pipes make it."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in CONTENT.items():
            archive.writestr(name, data)
    return bytes(pipe.data)


def _zip64(directory_bytes: int | None = None) -> bytes:
    """Return a zip whose directory is found by a 64-bit record."""
    data = _zip()
    end = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack("<10xHII", data[end : end + 20])
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count,
        size if directory_bytes is None else directory_bytes, start,
    )  # fmt: skip
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return data[:end] + record + locator + last


def _directory(change: Callable[[bytearray, int], None]) -> bytes:
    """Change the first entry of the directory."""
    data = bytearray(_zip())
    change(data, data.index(b"PK\x01\x02"))
    return bytes(data)


def _put(offset: int, value: int, code: str = "<I") -> Callable[[bytearray, int], None]:
    def change(data: bytearray, at: int) -> None:
        struct.pack_into(code, data, at + offset, value)

    return change


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no complete zip"),
    "text": (b"this is no zip", "no complete zip"),
    "half": (_zip()[: len(_zip()) // 2], "no complete zip"),
    "last byte missing": (_zip()[:-1], "no complete zip|bytes after its directory"),
    "something after it": (_zip() + b"x", "1 bytes after its directory"),
    "zeros after it": (_zip() + bytes(100), "100 bytes after its directory"),
    "page before it": (b"<html>" + _zip(), "6 bytes before its first member"),
    "two zips": (_zip({"b.txt": b"b"}) + _zip(), "bytes before its first member"),
    "a zip in the comment": (_zip(comment=_zip({"b.txt": b"b"})), "two directories"),
    "end in the comment": (_zip(comment=b"PK\x05\x06" + bytes(18)), "two directories"),
    "comment claims more": (_zip()[:-2] + b"\x09\x00", "bytes after its directory"),
    "names differ in case": (_zip({"a/x": b"", "A/x": b""}), "differs from 'a/x' only in case"),
    "names differ in form": (
        _zip({f"{unicodedata.normalize(form, 'é')}.txt": b"" for form in ("NFC", "NFD")}),
        "only in case or in the form of its Unicode",
    ),
    "above": (_zip({"../x": b""}), "leads out of the folder"),
    "drive": (_zip({"c:/x": b""}), "leads out of the folder"),
    "beyond ratio": (_directory(_put(24, 2**30)), "claims 1073741824 bytes"),
    "all beyond": (_directory(_put(24, 2**32 - 2)), "would take 4 GiB"),
    "64 bits without": (_directory(_put(24, 2**32 - 1)), "would take 4 GiB"),
    "offset beyond": (_directory(_put(42, 2**31)), "before its first|reaches into|not trusted"),
    "compressed beyond": (_directory(_put(20, 2**30)), "overlap"),
    "method": (_directory(_put(10, 14, "<H")), "compressed by method 14"),
    "stored otherwise": (_directory(_put(10, 0, "<H")), "is stored in"),
    "encrypted": (_directory(_put(8, 1, "<H")), "is encrypted"),
    "huge directory": (_zip64(2**40), "directory of 1099511627776 bytes"),
    "negative directory": (_zip64(2**64 - 1), "directory of"),
    "locator without record": (_zip64().replace(b"PK\x06\x06", b"PK\x06\x09"), "64-bit directory"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_zip_is_one_sentence(name: str, tmp_path: Path) -> None:
    """It names the file and is short."""
    data, message = BAD[name]
    path = tmp_path / "sent.zip"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        open_zip(path, 20, 2**31)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "data", [_zip(), _streamed(), _zip64(), _zip(comment=b"made on Monday")],
    ids=["plain", "streamed", "zip64", "comment"],
)  # fmt: skip
def test_good_zips_are_opened(data: bytes, tmp_path: Path) -> None:
    """Also those that were streamed, have 64-bit directories or a comment."""
    path = tmp_path / "good.zip"
    path.write_bytes(data)
    with open_zip(path, 20, 2**20) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENT


def test_a_zip_in_a_zip_is_not_opened(tmp_path: Path) -> None:
    """Ten layers of zeros in zips are a file of a few hundred bytes, and stay one."""
    data = _zip({"zeros": bytes(100_000)})
    for depth in range(10):
        data = _zip({f"{depth}-{copy}.zip": data for copy in range(4)})
    path = tmp_path / "42.zip"
    path.write_bytes(data)
    with open_zip(path, 20, 2**24) as archive:
        assert sum(member.file_size for member in archive.infolist()) < 2**24


def test_many_members_are_refused_by_the_directory(tmp_path: Path) -> None:
    """Its size alone tells it, before there is an object for every member."""
    path = tmp_path / "many.zip"
    path.write_bytes(_zip64(2**24 + 1))
    with pytest.raises(InputError, match="directory of 16777217 bytes; at most 16777216"):
        open_zip(path, 20, 2**20)


@settings(max_examples=300, deadline=None)
@given(changes=edits(600, most=4))
def test_changed_zips_are_refused_or_give_what_they_hold(
    changes: list[Edit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is read has its checksum, so that it is what was written; all else is refused."""
    data = damaged(_zip(), changes)
    path = tmp_path_factory.getbasetemp() / "changed.zip"
    path.write_bytes(data)
    try:
        with zip_errors(path), open_zip(path, 20, 2**20) as archive:
            held = [archive.read(member) for member in archive.infolist()]
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert set(held) <= {*CONTENT.values(), b""}
