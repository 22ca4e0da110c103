"""Arrays from files: the true value or one sentence, whatever stands in the file."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milannotations.arrays import read_array, read_arrays, read_header
from milannotations.errors import InputError

TRUE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def _npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    encoded = header.encode("utf-8" if version == (3, 0) else "latin-1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded + data


def _of(shape: str, descr: str = "'<f4'", order: str = "False") -> bytes:
    return _npy(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


HEADERS: dict[str, tuple[bytes, str]] = {
    "minus signs": (_of("(" + "-" * 8000 + "3, 2)"), "header cannot be read"),
    "parentheses": (_of("(" * 8000), "header cannot be read"),
    "closed parentheses": (_of("(" * 190 + ")" * 190), "its header promises"),  # shape ()
    "open": (_of("(3, 2"), "header cannot be read"),
    "not in brackets": (_of("3, 2"), "header cannot be read"),
    "boolean in shape": (_of("(3, True)"), r"impossible shape \(3, True\)"),
    "negative": (_of("(-3, 2)"), "impossible shape"),
    "negative zero rows": (_of("(-1, 0)"), "impossible shape"),
    "float in shape": (_of("(3.0, 2)"), "shape is not valid"),
    "digits": (_of("(" + "9" * 5000 + ", 2)"), "header cannot be read|impossible shape"),
    "beyond 64 bits": (_of("(18446744073709551616, 0)"), "impossible shape"),
    "product overflows": (_of("(4294967296, 4294967296)"), "impossible shape"),
    "many dimensions": (_of("(" + "1, " * 70 + ")"), "70 dimensions"),
    "rows of nothing": (_of("(9223372036854775807, 0)"), "impossible shape"),
    "order is a word": (_of("(3, 2)", order="'no'"), "fortran_order"),
    "no keys": (_npy("{}"), "keys"),
    "keys twice": (_npy("{'descr': '<f4'}"), "keys"),
    "a list": (_npy("[1, 2]"), "not a dictionary"),
    "sets": (_npy("{{'descr'}, {}}"), "header cannot be read"),
    "unhashable": (_npy("{[]: 1}"), "header cannot be read"),
    "code": (_npy("__import__('os').abort()"), "header cannot be read"),
    "zeros": (_npy("\0" * 100), "header cannot be read"),
    "surrogates": (_npy("\xff\xfe" * 50, version=(2, 0)), "header cannot be read"),
    "not UTF-8": (b"\x93NUMPY\x03\x00" + struct.pack("<I", 4) + b"\xff\xfe\xfd\n", "header cannot"),
    "object": (_saved(np.array([{}, 1], dtype=object)), "holds object"),
    "records": (_saved(np.zeros(3, dtype=[("a", "<f4"), ("b", "<i8")])), "holds records"),
    "object in records": (_of("(3,)", "[('a', '|O')]"), "holds object"),
    "type of nothing": (_of("(3,)", "''"), "no readable|holds"),
    "void": (_saved(np.zeros(3, dtype="V8")), r"holds .*V8, not floating"),
    "type in type": (_of("(3,)", "('<f4', (2,))"), "holds|no readable"),
    "long type in type": (_of("(3,)", "('<f4', (1000000000000,))"), "no readable"),
    "deep types": (_of("(3,)", "(" * 150 + "'<f4'" + ", (1,))" * 150), "no readable|holds"),
    "type of records": (_of("(3,)", "[('a',)]"), "header cannot be read"),
    "type is a number": (_of("(3,)", "7"), "header cannot be read"),
    "date": (_saved(np.zeros(3, dtype="datetime64[s]")), r"holds datetime64\[s\]"),
    "complex": (_saved(np.zeros(3, dtype=np.complex64)), "holds complex64"),
    "text": (_saved(np.array(["a", "b"])), "holds <U1"),
    "integers": (_saved(np.arange(3)), "holds int64, not floating-point numbers"),
    "header of 4 GB": (b"\x93NUMPY\x02\x00" + b"\xff" * 4, "would have 4,294,967,295 bytes"),
    "header cut": (_of("(3, 2)")[:40], "ends in its header"),
    "length cut": (b"\x93NUMPY\x02\x00\x01", "ends in its header"),
    "magic cut": (b"\x93NUM", "does not begin as one"),
    "empty": (b"", "does not begin as one"),
    "text file": (b"hello, this is no array", "does not begin as one"),
    "version 4": (b"\x93NUMPY\x04\x00" + b"\0" * 100, r"version \(4, 0\)"),
    "cut": (_saved(TRUE)[:-1], "its header promises"),
    "too long": (_saved(TRUE) + b"\0", "its header promises"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("mapped", [None, "r"])
def test_bad_array_is_one_sentence(name: str, mapped: Any, tmp_path: Path) -> None:
    """No header makes another error than one that names the file, in memory or mapped."""
    path = tmp_path / "maps.npy"
    data, message = HEADERS[name]
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=message) as caught:
            read_array(path, mapped=mapped)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(path))


@pytest.mark.parametrize("mapped", [None, "r", "c"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_good_array_is_read(
    mapped: Any, dtype: str, order: Any, version: tuple[int, int], tmp_path: Path
) -> None:
    """Either order of bytes and of axes, all versions of the format."""
    path = tmp_path / "maps.npy"
    array = np.asarray(TRUE.astype(dtype), order=order)
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(file, array, version)
    read = read_array(path, mapped=mapped)
    assert read.shape == TRUE.shape
    assert np.array_equal(read, TRUE)


def test_missing_and_large_files_are_refused(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(InputError, match="does not exist"):
        read_array(tmp_path / "no.npy")
    np.save(tmp_path / "maps.npy", TRUE)
    with pytest.raises(InputError, match="at most 100 are read into memory"):
        read_array(tmp_path / "maps.npy", most_bytes=100)


def test_named_arrays_are_read(tmp_path: Path) -> None:
    """Those that are asked for, and no others."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, latents=TRUE, classes=np.arange(2), other=np.array({}, dtype=object))
    arrays = read_arrays(path, {"latents": "f", "classes": "iu", "none": "f"})
    assert [*arrays] == ["latents", "classes"]
    assert np.array_equal(arrays["latents"], TRUE)
    with pytest.raises(InputError, match=r"a\.npz: other\.npy holds object"):
        read_arrays(path, {"other": "f"})
    with pytest.raises(InputError, match=r"holds the arrays .*'latents'.*, not 'zs'"):
        read_arrays(path, {"zs": "f"})
    with pytest.raises(InputError, match="does not exist"):
        read_arrays(tmp_path / "no.npz", {"zs": "f"})


def test_arrays_that_unpack_out_of_proportion_are_refused(tmp_path: Path) -> None:
    """By the zip's directory, before any of them is unpacked."""
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("latents.npy", "w") as member,
    ):
        for _ in range(320):
            member.write(b"\0" * 2**20)
    with pytest.raises(InputError, match=r"would take 0\.31 GiB"):
        read_arrays(path, {"latents": "f"})


def _changed(data: bytes, edits: list[tuple[str, int, int]]) -> bytes:
    """Flip, cut and insert bytes."""
    changed = bytearray(data)
    for kind, place, value in edits:
        at = place % (len(changed) + 1)
        if kind == "cut":
            del changed[at:]
        elif kind == "insert":
            changed.insert(at, value)
        elif at < len(changed):
            changed[at] = value
    return bytes(changed)


EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "flip", "insert", "cut"]), st.integers(0, 400),
              st.integers(0, 255)),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(edits=EDITS)
def test_changed_arrays_are_refused_or_have_the_size_they_say(
    edits: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens to the bytes of an array: an array of the file's size, or one sentence."""
    path = tmp_path_factory.getbasetemp() / "changed.npy"
    path.write_bytes(_changed(_saved(TRUE), edits))
    try:
        array = read_array(path, "biuf")
    except InputError as error:
        assert str(path) in str(error)
    else:
        header = read_header(io.BytesIO(path.read_bytes()), path)
        assert header.offset + array.nbytes == path.stat().st_size
        assert array.tobytes("A") == path.read_bytes()[header.offset :]


@settings(max_examples=150, deadline=None)
@given(edits=EDITS)
def test_changed_archives_give_the_true_arrays_or_are_refused(
    edits: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An archive has checksums: what is read is what was written."""
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    stream = io.BytesIO()
    np.savez_compressed(stream, latents=TRUE)
    path.write_bytes(_changed(stream.getvalue(), edits))
    try:
        arrays = read_arrays(path, {"latents": "f"})
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert np.array_equal(arrays["latents"], TRUE)
