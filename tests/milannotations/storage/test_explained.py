"""Failures of the file system in one line each: real ones where they can be had."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from milannotations.errors import InputError
from milannotations.storage import (
    atomic_folder,
    atomic_path,
    check_file,
    check_folder,
    check_target,
    explained,
    explaining,
    resumable_folder,
)

_WRITERS = {
    "text": "path.write_text('x' * size)",
    "csv": "import pandas; pandas.DataFrame({'a': noise}).to_csv(path)",
    "pandas": "import pandas; pandas.DataFrame({'a': noise}).to_parquet(path)",
    "arrow": "import pyarrow as pa, pyarrow.parquet as pq\n"
    "pq.write_table(pa.table({'a': noise}), path)",
    "npy": "file = path.open('wb'); numpy.save(file, noise)",
    "npz": "file = path.open('wb'); numpy.savez(file, a=noise)",
    "memmap": "m = numpy.lib.format.open_memmap(path, 'w+', 'f8', noise.shape); m[:] = noise",
    "zip": "import zipfile\nwith zipfile.ZipFile(path, 'w') as z: z.writestr('a', noise.tobytes())",
    "safetensors": "from safetensors.numpy import save_file; save_file({'a': noise}, path)",
    "torch": "import torch; torch.save(torch.from_numpy(noise), path)",
    "png": "from PIL import Image; Image.frombytes('L', (800, 1000), noise.tobytes())"
    ".save(path, 'png')",
    "jpeg": "from PIL import Image; Image.frombytes('L', (800, 1000), noise.tobytes())"
    ".save(path, 'jpeg', quality=100)",
    "matplotlib": "import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt\n"
    "figure = plt.figure(); figure.figimage(noise.reshape(100, 1000)); "
    "figure.savefig(path, dpi=300, format='png')",
}
_PROGRAM = """
import resource, signal, sys
from pathlib import Path
import numpy
from milannotations.errors import InputError
from milannotations.storage import atomic_path
target, size = Path(sys.argv[1]), 400_000
noise = numpy.random.default_rng(0).random(100_000)
writers = eval(sys.stdin.read())
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name, writer in writers.items():
    try:
        with atomic_path(target) as path:
            exec(writer)
        print(name, "was written")
    except InputError as error:
        print(name, "|", error)
    except BaseException as error:
        print(name, "|", repr(error))
print(sorted(p.name for p in target.parent.iterdir()))
"""


def test_a_full_disk_is_one_sentence_whoever_writes(tmp_path: Path) -> None:
    """The system's limit on the size of files is as good as a full disk, and needs no root."""
    target = tmp_path / "out"
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(target)],
        input=repr(_WRITERS), capture_output=True, text=True, check=True,
    )  # fmt: skip
    *lines, left = run.stdout.splitlines()
    assert len(lines) == len(_WRITERS)
    assert [line for line in lines if f"| no room to write {target}: " not in line] == []
    assert left == "[]"


_REAL_DISK = """
mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@"
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = ["unshare", "-rm", "sh", "-c", _REAL_DISK, "sh", str(tmp_path)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        mount = ["sh", "-c", 'ulimit -f 40; shift; exec "$@"', "sh", str(tmp_path)]
    # Writing to a mapped file on a full disk is no error but a signal: see `_reserve`.
    writers = {name: code for name, code in _WRITERS.items() if name != "memmap"}
    run = subprocess.run(
        [*mount, sys.executable, "-c", _PROGRAM.replace("resource.setr", "1 or resource.setr"),
         str(tmp_path / "out")],
        input=repr(writers), capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = run.stdout.splitlines()[:-1]
    assert [line for line in lines if "| no room to write" not in line] == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "permission denied"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.ENOENT, "folder is missing"),
        (errno.ENOTDIR, "not a folder"),
        (errno.EISDIR, "name a file"),
        (errno.ELOOP, "circle"),
        (errno.EBUSY, "in use"),
        (errno.EIO, "reports an error"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_every_cause_names_the_target(number: int, words: str, tmp_path: Path) -> None:
    target = tmp_path / "out\nput"
    for error in (
        OSError(number, os.strerror(number)),
        OSError(number, os.strerror(number), str(tmp_path / ".out\nput.partial" / "data" / "x")),
    ):
        sentence = str(explained(error, target))
        assert words in sentence
        assert str(tmp_path / "out\\nput") in sentence
        assert "\n" not in sentence


def test_what_is_no_failure_of_the_file_system_is_left_alone(tmp_path: Path) -> None:
    for error in (BrokenPipeError(errno.EPIPE, "x"), ConnectionResetError(errno.ECONNRESET, "x")):
        assert explained(error, tmp_path) is None
    assert explained(RuntimeError("shapes differ"), tmp_path) is None
    assert explained(OSError(errno.EACCES, "x")) is None  # of what?
    assert "no room" in str(explained(OSError(errno.ENOSPC, "x")))


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explaining(tmp_path / "a" / "out"):
        (tmp_path / "b" / "input").read_text()
    error = OSError(errno.ENOENT, "No such file", str(tmp_path / "b" / "input"))
    assert str(explained(error, tmp_path / "a" / "out")).startswith(f"{tmp_path}/b/input does not")


def test_targets_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    cases = {
        tmp_path / "file" / "out": "is a file, not a folder",
        tmp_path / "file" / "a" / "out": "is a file, not a folder",
        tmp_path / "broken": "is a link to .*nowhere",
        tmp_path / ("é" * 127): "too long",
        tmp_path / ("x" * 300): "too long",
    }
    for target, words in cases.items():
        for check in (check_target, check_file):
            with pytest.raises(InputError, match=words):
                check(target)
        with pytest.raises(InputError, match=words), atomic_path(target):
            raise AssertionError
        with pytest.raises(InputError, match=words), atomic_folder(target):
            raise AssertionError
        with pytest.raises(InputError, match=words), resumable_folder(target, {}):
            raise AssertionError
    for target in (tmp_path / "file" / "out", tmp_path / "broken", tmp_path / "file"):
        with pytest.raises(InputError):
            check_folder(target)
    check_folder(tmp_path / "new" / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken", "file"]


_LESS = """
import os, sys
from pathlib import Path
from milannotations.errors import InputError
from milannotations.storage import *
if not os.getuid():
    os.setgroups([]); os.setgid(12345); os.setuid(12345)
folder = Path(sys.argv[1])
for action in (lambda: check_target(folder / "out"), lambda: check_folder(folder),
               lambda: check_file(folder / "out"), lambda: atomic_path(folder / "out").__enter__(),
               lambda: atomic_folder(folder / "out").__enter__(),
               lambda: resumable_folder(folder / "out", {}).__enter__(),
               lambda: locked(folder / "out").__enter__()):
    try: action(); print("nothing was said")
    except InputError as error: print(error)
"""


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """Root, to whom permissions mean nothing, becomes a user without a name, as in containers."""
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o555)
    if not os.getuid():
        for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            above.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k not in ("USER", "LOGNAME", "HOME")}
    run = subprocess.run(
        [sys.executable, "-c", _LESS, str(folder)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert len(lines) == 7, run.stdout + run.stderr
    assert [line for line in lines if "permission denied" not in line] == []


def test_the_target_is_named_and_not_the_file_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(dir: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(dir / "tmpab12cd"))

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(InputError, match=r"^[^ ]*/out cannot be written: permission denied"):
        check_target(tmp_path / "out")
    with pytest.raises(InputError, match=r"^[^ ]*/a.csv cannot be written: permission denied"):
        check_file(tmp_path / "a.csv")
