"""Releases that cannot be read: each gives a message that names the file, and leaves nothing."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from milannotations.errors import InputError
from milannotations.release.importer import import_release
from milannotations.storage import resumable_folder
from milannotations.worlds.release import write_release

Spoil = Callable[[Path], object]


def _resave(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    return lambda r: np.save(r / name, change(np.load(r / name)))


def _text(name: str, text: str) -> Spoil:
    return lambda r: (r / name).write_text(text)


def _edit(name: str, old: str, new: str) -> Spoil:
    return lambda r: (r / name).write_text((r / name).read_text().replace(old, new, 1))


def _cut(name: str, keep: float) -> Spoil:
    def cut(release: Path) -> None:
        data = (release / name).read_bytes()
        (release / name).write_bytes(data[: int(len(data) * keep)])

    return cut


def _header(name: str, header: bytes, version: bytes = b"\x01\x00") -> Spoil:
    return lambda r: (r / name).write_bytes(
        b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header
    )


def _value(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(masks: np.ndarray) -> np.ndarray:
        masks[1, 0, 0, 0, 0] = value
        return masks

    return change


def _mixed(masks: np.ndarray) -> np.ndarray:
    masks[0], masks[1] = 1, 255
    return masks


MASKS, IMAGES = "conv1/masks.npy", "conv1/images.npy"
HUGE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (999999, 1000, 1, 4000, 4000)}"
BAD: dict[str, tuple[Spoil, str]] = {
    "masks missing": (lambda r: (r / MASKS).unlink(), r"layer 'conv1' has no masks\.npy"),
    "no layer": (lambda r: [p.unlink() for p in r.rglob("*.npy")], "no layer folder"),
    "masks float": (_resave(MASKS, lambda m: m.astype("float32")), "conv1/masks.npy holds float32"),
    "images int64": (_resave(IMAGES, lambda m: m.astype("int64")), "images.npy holds int64"),
    "masks 4 dimensions": (_resave(MASKS, lambda m: m[:, :, 0]), r"masks.npy has shape .*, not 5"),
    "masks 3 channels": (_resave(MASKS, lambda m: m.repeat(3, 2)), "masks have one channel"),
    "masks empty": (_resave(MASKS, lambda m: m[:0]), "no release has"),
    "masks no exemplar": (_resave(MASKS, lambda m: m[:, :0]), "no release has"),
    "masks wide": (_resave(MASKS, lambda m: np.zeros((5, 2, 1, 1, 5000), "u1")), "at most 4096"),
    "mask of 7": (_resave(MASKS, _value(7)), r"unit 1 has masks with the values \[0, 1, 7\]"),
    "masks mix 1 and 255": (_resave(MASKS, _mixed), "mix the values 1 and 255"),
    "masks in columns": (_resave(MASKS, np.asfortranarray), "column by column"),
    "masks truncated": (_cut(MASKS, 0.9), "its header promises"),
    "masks cut in header": (_cut(MASKS, 0.05), "no readable .npy"),
    "masks not npy": (_text(MASKS, "hello, this is text"), "no readable .npy"),
    "masks format 9": (_header(MASKS, b"{}", b"\x09\x00"), r"format version \(9, 0\)"),
    "masks header code": (_header(MASKS, b"__import__('os').abort()"), "no readable .npy"),
    "masks header huge": (_header(MASKS, HUGE), "its header promises"),
    "masks header long": (_header(MASKS, b" " * 60_000), "no readable .npy"),
    "images fewer units": (_resave(IMAGES, lambda i: i[:4]), r"images.npy has shape \(4, 2, 3"),
    "images other size": (_resave(IMAGES, lambda i: i[..., :7]), "height and width must be equal"),
    "images other k": (_resave(IMAGES, lambda i: i[:, :1]), "must be equal"),
    "images grey": (_resave(IMAGES, lambda i: i[:, :, :1]), "images have three channels"),
    "ids short row": (_text("conv1/ids.csv", "1,2\n1\n1,2\n1,2\n1,2\n"), "row 2 has 1 values"),
    "ids few rows": (_text("conv1/ids.csv", "1,2\n"), r"ids.csv has 1 rows, but masks.npy has 5"),
    "ids not a number": (_text("conv1/ids.csv", "1,2\n" * 4 + "1,n0144\n"), "row 5 holds 'n0144'"),
    "ids negative": (_text("conv1/ids.csv", "1,2\n" * 4 + "1,-3\n"), "row 5 holds '-3'"),
    "ids out of range": (_text("conv1/ids.csv", "1,2\n" * 4 + "1,50000\n"), "holds index 50000"),
    "ids binary": (lambda r: (r / "conv1/ids.csv").write_bytes(b"\xff\xfe"), "no table of numbers"),
    "activations words": (_text("conv1/activations.csv", "1,2\n" * 4 + "1,x\n"), "row 5"),
    "activations nan": (_text("conv1/activations.csv", "1,2\n" * 4 + "1,nan\n"), "NaN or infinity"),
    "units short": (lambda r: np.save(r / "4/units.npy", [1, 2]), "units.npy has 2 units"),
    "units twice": (lambda r: np.save(r / "4/units.npy", [1, 2, 1]), "holds unit 1 twice"),
    "units negative": (lambda r: np.save(r / "4/units.npy", [1, 2, -1]), "count from 0"),
    "units float": (lambda r: np.save(r / "4/units.npy", [1.0, 2, 3]), "units.npy holds float64"),
    "unknown unit": (_edit("annotations.csv", "conv1,4,", "conv1,99,"), "example conv1:99"),
    "unknown layer": (_edit("annotations.csv", "conv1,", "conv11,"), "did you mean 'conv1'"),
    "unit not a number": (_edit("annotations.csv", "conv1,4,", "conv1,four,"), "has unit 'four'"),
    "unit negative": (_edit("annotations.csv", "conv1,4,", "conv1,-4,"), "has unit '-4'"),
    "no summary": (_edit("annotations.csv", "summary", "summery"), "no column 'summary'; did you"),
    "unquoted comma": (_edit("annotations.csv", '"', ""), "cannot be read as a table"),
    "annotations empty": (_text("annotations.csv", ""), "cannot be read as a table"),
    "annotations header only": (_text("annotations.csv", "layer,unit,summary\n"), "has no rows"),
    "annotations latin-1": (
        lambda r: (r / "annotations.csv").write_bytes(b"layer,unit,summary\nconv1,0,caf\xe9\n"),
        "cannot be read as a table",
    ),
    "layers differ in case": (lambda r: (r / "4").rename(r / "CONV1"), "only in case"),
    "two releases": (
        lambda r: [(r / "a").mkdir(), (r / "4").rename(r / "a/4"), (r / "b").mkdir(),
                   (r / "conv1").rename(r / "b/conv1")],
        "several releases",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_bad_release(release: Path, tmp_path: Path, case: str, zipped: bool) -> None:
    spoil, message = BAD[case]
    spoil(release)
    source = release
    if zipped:
        source = tmp_path / "alexnet-imagenet.zip"
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(p for p in release.rglob("*") if p.is_file()):
                packed.write(path, path.relative_to(release))
    with pytest.raises(InputError, match=message) as caught:
        import_release(source, tmp_path / "out")
    assert str(source) in str(caught.value)
    assert not (tmp_path / "out").exists()


def _member(name: str, **changes: object) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    for attribute, value in changes.items():
        setattr(member, attribute, value)
    return member


@pytest.mark.parametrize(
    "member, message",
    [
        (_member("../evil.csv"), "leads out of the folder"),
        (_member("conv1/../../evil.csv"), "leads out of the folder"),
        (_member("/etc/evil.csv"), "leads out of the folder"),
        (_member("C:/evil.csv"), "leads out of the folder"),
        (_member("conv1\\..\\evil.csv"), "leads out of the folder"),
        (_member("conv1/\x1b[2Jevil"), "control characters"),
        (_member("conv1/link", external_attr=0o120777 << 16), "is a link or a device"),
        (_member("conv1/pipe", external_attr=0o010644 << 16), "is a link or a device"),
        (_member("conv1/lzma", compress_type=zipfile.ZIP_LZMA), "compressed by method 14"),
        (_member("conv1/masks.npy"), "occurs twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_hostile_member(
    release: Path, tmp_path: Path, member: zipfile.ZipInfo, message: str
) -> None:
    source = tmp_path / "alexnet-imagenet.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(p for p in release.rglob("*") if p.is_file()):
            packed.write(path, path.relative_to(release))
        packed.writestr(member, b"x" * 100, compress_type=member.compress_type)
    with pytest.raises(InputError, match=message):
        import_release(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil.csv").exists()


def _packed(release: Path, source: Path) -> bytes:
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(p for p in release.rglob("*") if p.is_file()):
            packed.write(path, path.relative_to(release))
    return source.read_bytes()


def _flip(data: bytes) -> bytes:
    """Damage the compressed bytes of the first layer's masks."""
    at = data.index(b"4/masks.npy") + 200
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + 40]) + data[at + 40 :]


def _lie(data: bytes) -> bytes:
    """Let the directory claim that a member grows to two gigabytes."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"conv1/masks.npy"))
    return data[: at + 24] + struct.pack("<I", 2 * 10**9) + data[at + 28 :]


def _encrypt(data: bytes) -> bytes:
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"conv1/masks.npy"))
    return data[: at + 8] + struct.pack("<H", 1) + data[at + 10 :]


def _overlap(data: bytes) -> bytes:
    """Let one member start where another one does."""
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    return data[: second + 42] + data[first + 42 : first + 46] + data[second + 46 :]


def _future(data: bytes) -> bytes:
    """Let a member ask for a version of the format that is not known."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"conv1/masks.npy"))
    return data[: at + 6] + struct.pack("<H", 99) + data[at + 8 :]


def _patched(data: bytes) -> bytes:
    """Let a member claim to be compressed patched data, which only shows when it is opened."""
    for start in (b"PK\x01\x02", b"PK\x03\x04"):
        at = data.rindex(start, 0, data.rindex(b"conv1/masks.npy") + 1)
        flags = at + (8 if start == b"PK\x01\x02" else 6)
        data = data[:flags] + struct.pack("<H", 0x20) + data[flags + 2 :]
    return data


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda data: data[: len(data) // 2], "no complete zip"),
        (lambda data: b"<html>moved</html>", "no complete zip"),
        (lambda data: b"", "no complete zip"),
        (_flip, "cannot be read|no readable"),
        (_lie, "claims 2000000000 bytes"),
        (_encrypt, "is encrypted"),
        (_overlap, "overlap"),
        (_future, "no complete zip .*version"),
        (_patched, r"cannot be read \(compressed patched data"),
    ],
    ids=[
        "truncated",
        "html",
        "empty",
        "flipped",
        "bomb",
        "encrypted",
        "overlapping",
        "future",
        "patched",
    ],
)
def test_a_damaged_zip(
    release: Path, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    source = tmp_path / "alexnet-imagenet.zip"
    source.write_bytes(damage(_packed(release, source)))
    with pytest.raises(InputError, match=message):
        import_release(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "limit, value, message",
    [
        ("release.archive.MAX_MEMBERS", 3, "at most 3"),
        ("release.archive.MAX_TOTAL_BYTES", 100, "GiB; at most"),
        ("zips.MAX_RATIO", 1, "claims"),
    ],
)
def test_limits_of_zips(
    release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    message: str,
) -> None:
    write_release(tmp_path / "large", {"conv1": 5}, k=2, size=64)
    source = tmp_path / "alexnet-imagenet.zip"
    _packed(tmp_path / "large", source)
    monkeypatch.setattr(f"milannotations.{limit}", value)
    with pytest.raises(InputError, match=message):
        import_release(source, tmp_path / "out")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"config": "alexnet-imagenett"}, "did you mean 'alexnet-imagenet'"),
        ({"config": "../evil"}, "no known config"),
        ({"model": "a/b", "dataset": "c"}, "is no name"),
        ({"model": "..", "dataset": "c"}, "is no name"),
        ({"image_format": "gif"}, "image format 'gif'"),
    ],
)
def test_bad_options(release: Path, tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_release(release, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_release(tmp_path / "none.zip", tmp_path / "out", config="alexnet-imagenet")


def test_a_target_that_exists_is_kept(release: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="pass --overwrite"):
        import_release(release, tmp_path / "out")
    import_release(release, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "mine").exists()


def test_a_target_below_a_file(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        import_release(release, tmp_path / "file" / "out")


def test_two_imports_at_once(release: Path, tmp_path: Path) -> None:
    with (
        resumable_folder(tmp_path / "out", {"who": "the other"}),
        pytest.raises(InputError, match="another process"),
    ):
        import_release(release, tmp_path / "out")


_IMPORT = (
    "import sys; from pathlib import Path; "
    "from milannotations.release.importer import import_release; "
    "import_release(Path(sys.argv[1]), Path(sys.argv[2]))"
)


def test_a_full_disk(release: Path, tmp_path: Path) -> None:
    """A real limit of the operating system on the size of files stands for a full disk."""
    write_release(tmp_path / "alexnet-places365", {"conv1": 40}, k=5, size=64)
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); " + _IMPORT
    arguments = [str(tmp_path / "alexnet-places365"), str(tmp_path / "out")]
    run = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False
    )
    assert "no room to write" in run.stderr, run.stderr
    assert not (tmp_path / "out").exists()
    subprocess.run([sys.executable, "-c", _IMPORT, *arguments], check=True)
    assert (tmp_path / "out" / "release.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_from_outside_at_any_moment(tmp_path: Path, how: signal.Signals) -> None:
    source, out = tmp_path / "alexnet-places365", tmp_path / "out"
    write_release(source, {"conv1": 60, "conv2": 60, "conv3": 60}, k=15, size=112)
    import_release(source, tmp_path / "whole")
    work = tmp_path / ".out.unfinished"
    stopped = 0
    for shards in (0, 1, 2):
        process = subprocess.Popen(
            [sys.executable, "-c", _IMPORT, str(source), str(out)],
            stderr=subprocess.DEVNULL,
            # Shells have what they run in the background ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while process.poll() is None and len(list(work.glob("data/[!.]*.parquet"))) < shards:
            time.sleep(0.002)
        if shards == 0:
            while process.poll() is None and not work.exists():
                time.sleep(0.002)
        process.send_signal(how)
        process.wait()
        if out.exists():  # it was faster
            assert (out / "release.json").is_file()
            break
        stopped += 1
    assert stopped >= 1
    if not out.exists():
        import_release(source, out)
    for path in (tmp_path / "whole").rglob("*.parquet"):
        same = out / path.relative_to(tmp_path / "whole")
        assert same.read_bytes() == path.read_bytes()
    assert not [p for p in out.rglob(".*") if p.is_file()]
