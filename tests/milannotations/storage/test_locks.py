"""Locks between real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import threading
from pathlib import Path

import pytest

from milannotations.errors import InputError
from milannotations.storage import atomic_path, locked, reserved_file, resumable_folder
from milannotations.storage import locks as module
from tests.milannotations.storage.processes import hidden, killed, running, start

_HOLD = "with locked(target): pause()"


def test_two_processes_exclude_each_other(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with running(_HOLD, target) as other:
        with (
            pytest.raises(InputError, match=rf"by another process \(number {other.pid}\)"),
            locked(target),
        ):
            pass
        other.communicate("")
    with locked(target):
        assert hidden(tmp_path) == [".out.lock"]
    assert hidden(tmp_path) == []


def test_temporary_folders_of_their_own_do_not_part_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    target = tmp_path / "out"
    with running(_HOLD, target, {**os.environ, "TMPDIR": str(tmp_path / "a")}):
        code = (
            "try:\n    with locked(target): pass\nexcept InputError as error:\n    print(error)\n"
        )
        other = start(code, target, {**os.environ, "TMPDIR": str(tmp_path / "b")})
        assert "is being written by another process" in other.communicate()[0]
    assert tempfile.gettempdir()  # nothing of theirs lies there
    assert not list((tmp_path / "a").iterdir()) + list((tmp_path / "b").iterdir())


def test_two_names_of_a_folder_are_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        running(_HOLD, tmp_path / "real" / "out"),
        pytest.raises(InputError, match="another process"),
        locked(tmp_path / "link" / "out"),
    ):
        pass


def test_the_lock_of_a_killed_process_neither_blocks_nor_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    killed("with locked(target): die()", target)
    assert hidden(tmp_path) == [".out.lock"]
    with locked(target):
        pass
    assert hidden(tmp_path) == []


def test_a_child_does_not_hold_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    code = (
        "with locked(target):\n"
        "    if not os.fork():\n        time.sleep(60); os._exit(0)\n"
        "    die()\n"
    )
    process = start(code, tmp_path / "out")
    assert process.wait() == -9
    with locked(tmp_path / "out"):
        pass


def test_who_waits_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out"
    with running(_HOLD, target) as other:

        def end_it(_: float) -> None:
            other.communicate("")

        monkeypatch.setattr(module, "_PATIENCE_S", -1.0)
        monkeypatch.setattr(module.time, "sleep", end_it)
        with locked(target, wait=True):
            pass
    waiting = f"note: waiting for another process that writes {target} (number {other.pid})\n"
    assert capsys.readouterr().err == waiting


def test_many_processes_add_to_one_file(tmp_path: Path) -> None:
    """Every lock file is removed, and yet never do two hold the lock."""
    target = tmp_path / "sum"
    target.write_text("0")
    code = (
        "for _ in range(60):\n"
        "    with locked(target, wait=True):\n"
        "        value = int(target.read_text())\n"
        "        with atomic_path(target) as path: path.write_text(str(value + 1))\n"
    )
    processes = [start(code, target) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert target.read_text() == "240"
    assert hidden(tmp_path) == []


def test_threads_exclude_each_other_and_one_thread_enters_twice(tmp_path: Path) -> None:
    target, order = tmp_path / "out", []

    def other() -> None:
        with locked(target, wait=True):
            order.append("other")

    with locked(target):
        thread = threading.Thread(target=other)
        thread.start()
        with locked(target):
            order.append("inner")
        thread.join(0.2)
        order.append("outer")
    thread.join()
    assert order == ["inner", "outer", "other"]


def test_one_thread_does_not_write_a_target_twice_at_once(tmp_path: Path) -> None:
    with (
        atomic_path(tmp_path / "file"),
        pytest.raises(InputError, match="or by this one"),
        atomic_path(tmp_path / "file"),
    ):
        pass
    with (
        resumable_folder(tmp_path / "out", {}),
        pytest.raises(InputError, match="or by this one"),
        resumable_folder(tmp_path / "out", {}),
    ):
        pass
    assert hidden(tmp_path) == [".out.unfinished"] or hidden(tmp_path) == []


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".out.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="links"), locked(tmp_path / "out"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_used(
    tmp_path: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(module, "_WARNED", set())
    for text in ("1", "2"):
        with atomic_path(tmp_path / "file") as path:
            path.write_text(text)
    assert (tmp_path / "file").read_text() == "2"
    with resumable_folder(tmp_path / "out", {}) as work:
        (work / "x").touch()
    assert capsys.readouterr().err.count("has no locks") == 1
    assert hidden(tmp_path) == []


def test_where_nothing_can_be_written_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="is a file, not a folder"),
        locked(tmp_path / "file" / "x"),
    ):
        pass
    with pytest.raises(InputError, match="too long"), locked(tmp_path / ("x" * 254)):
        pass


def test_a_file_is_reserved_for_all_of_the_work_on_it(tmp_path: Path) -> None:
    target = tmp_path / "descriptions.csv"
    code = (
        "with reserved_file(target):\n"
        "    pause()\n"
        "    with atomic_path(target) as path: path.write_text('theirs')\n"
        "print('done')\n"
    )
    with running(code, target) as other:
        with pytest.raises(InputError, match="another process"), reserved_file(target):
            raise AssertionError
        assert other.communicate("")[0] == "done\n"
    with pytest.raises(InputError, match="pass --overwrite"), reserved_file(target):
        raise AssertionError
    with reserved_file(target, overwrite=True), atomic_path(target) as path:
        path.write_text("mine")
    assert target.read_text() == "mine"
    assert hidden(tmp_path) == []
    with reserved_file(Path("/dev/null")):  # a device is nobody's
        pass
