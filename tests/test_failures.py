"""What the machine does to a command is one line; a fault of the program shows its traceback."""

from __future__ import annotations

import errno
import getpass
import os
import stat
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from benchmark.result import Method
from milannotations import cli
from milannotations.data_home import home
from milannotations.errors import InputError
from milannotations.failures import complete_environment, sentence


class SafetensorError(Exception):  # as safetensors' own is called
    pass


def _system(code: int, path: str | None = "some/file.bin") -> OSError:
    return OSError(code, os.strerror(code), path)


def _wrapped(cause: BaseException, error: Exception) -> Exception:
    try:
        raise error from cause
    except Exception as raised:
        return raised


def _followed(before: BaseException, error: Exception) -> Exception:
    try:
        try:
            raise before
        except BaseException:
            raise error  # noqa: B904
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "pieces"),
    [
        (_system(errno.ENOSPC), ["no room to write some/file.bin", "make room"]),
        (_system(errno.EROFS), ["some/file.bin", "read-only"]),
        (_system(errno.EACCES), ["some/file.bin", "permission denied"]),
        (_system(errno.ENOENT), ["some/file.bin does not exist"]),
        (_system(errno.EMFILE), ["some/file.bin", "too many files are open", "ulimit -n"]),
        (_system(errno.EMFILE, None), ["Too many open files", "ulimit -n"]),
        (_system(errno.EXDEV), ["some/file.bin: Invalid cross-device link"]),
        (OSError("an error without a number"), ["an error without a number"]),
        (MemoryError(), ["not enough memory", "smaller"]),
        (pa.ArrowMemoryError("malloc of size 9 failed"), ["not enough memory (malloc of size 9"]),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), ["not enough memory"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
         ["not enough memory (DefaultCPUAllocator"]),
        (ImportError("libx.so: failed to map segment from shared object"), ["not enough memory"]),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal."), ["not enough mem"]),
        (RecursionError("maximum recursion depth exceeded"), ["nested too deeply"]),
        (UnicodeEncodeError("utf-8", "a\udce9", 1, 2, "surrogates not allowed"), ["use UTF-8"]),
        (SafetensorError("I/O error: No space left on device (os error 28)"), ["no room to write"]),
        (SafetensorError("header too large"), ["safetensors cannot read", "header too large"]),
        (pa.ArrowInvalid("Not an Arrow file"), ["pyarrow cannot read", "Not an Arrow file"]),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), ["no room"]),
        (RuntimeError("rename: Permission denied"), ["rename: Permission denied"]),
        (RuntimeError("Could not determine home directory."), ["set HOME"]),
        (_wrapped(_system(errno.ENOSPC), ValueError("while writing")), ["no room to write"]),
        (_followed(_system(errno.EACCES), RuntimeError("no")), ["permission denied"]),
    ],
)  # fmt: skip
def test_what_comes_from_the_machine(error: BaseException, pieces: list[str]) -> None:
    line = sentence(error)
    assert line is not None
    assert "\n" not in line
    for piece in pieces:
        assert piece in line


@pytest.mark.parametrize(
    "error",
    [
        KeyError("layer4"), TypeError("no"), AssertionError(), RuntimeError("shapes do not fit"),
        ValueError("bad"), _followed(_system(errno.ENOENT), AttributeError("no such thing")),
    ],
)  # fmt: skip
def test_faults_of_the_program_are_none(error: Exception) -> None:
    assert sentence(error) is None


def test_writes_by_safetensors(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No such file") as error:
        save_file({"a": torch.zeros(1)}, tmp_path / "none" / "a.safetensors")
    assert sentence(error.value) is not None


@pytest.mark.parametrize("asked", [False, True])
def test_tracebacks(
    asked: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked:
        monkeypatch.setenv("MILANNOTATIONS_TRACEBACK", "1")
    for error, status in (
        (InputError("name a file\x1b[2J"), 2), (MemoryError(), 2), (KeyError("layer4"), 70)
    ):  # fmt: skip

        def app(error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "argv", ["milannotations"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr().err
        assert end.value.code == status
        assert "error:" in told
        assert ("Traceback" in told) == (asked or status == 70)
        assert ("please report it" in told) == (status == 70)
        assert "\x1b[2J" not in told


def test_a_user_without_name_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME", "XDG_CACHE_HOME",
                 "MILANNOTATIONS_HOME"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(InputError, match="home folder of this user is not known; set HOME"):
        home()
    for _ in range(2):
        complete_environment()
        assert getpass.getuser() == f"user-{os.getuid()}"
        folder = Path(os.environ.pop("HOME"))
        assert folder == tmp_path / f"milannotations-{os.getuid()}"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()
    folder.symlink_to("/")  # put there by somebody else
    complete_environment()
    assert Path(os.environ["HOME"]).parent == tmp_path
    assert Path(os.environ["HOME"]) != folder
    monkeypatch.delenv("LOGNAME")


def test_a_value_that_a_schema_refuses_is_a_line() -> None:
    with pytest.raises(ValidationError) as caught:
        Method(name="m", title="a" * 201)
    assert sentence(caught.value) == (
        "a value cannot be used: Method: title: String should have at most 200 characters"
    )
