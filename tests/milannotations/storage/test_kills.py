"""What processes leave that are killed with signal 9 at every step, and what becomes of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from milannotations.errors import InputError
from milannotations.storage import (
    atomic_folder,
    atomic_path,
    check_target,
    locked,
    resumable_folder,
)
from milannotations.storage.exchange import exchange
from milannotations.storage.names import lock_file, unfinished_folder
from milannotations.storage.tidying import discard_work, mark_placed, tidy_up
from tests.milannotations.storage.processes import hidden, killed, running, start

# A writer forks at each of the changes that it makes to the file system; the child is killed there.
_KILL_AT = """
import pathlib, shutil
from milannotations.storage import atomic
def counted(function):
    def inner(*arguments, **options):
        global count
        count += 1
        if count == step: die()
        return function(*arguments, **options)
    return inner
for module, names in ((pathlib.Path, ["replace", "unlink", "mkdir", "chmod"]),
                      (shutil, ["rmtree"]), (os, ["open", "close", "fsync", "ftruncate"])):
    for name in names: setattr(module, name, counted(getattr(module, name)))
atomic.exchange = EXCHANGE
def write(target):
    WRITE
for step in range(1, 300):
    case, count = target / str(step), 0
    if (child := os.fork()) == 0:
        write(case / "out")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0: break
print(step)
"""
_FOLDER = """
    with atomic_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("new")
"""
_RESUMABLE = """
    with resumable_folder(target, {"a": 1}, overwrite=True) as folder:
        if not (folder / "new").exists():
            with atomic_path(folder / "new") as path: path.write_text("new")
"""
_FILE = """
    with atomic_path(target) as path: path.write_text("new")
"""


def _can_exchange() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        first.mkdir()
        second.mkdir()
        return exchange(first, second)


_EXCHANGES = _can_exchange()


def _content(path: Path) -> dict[str, str]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {f.name: f.read_text() for f in files if f.is_file()}


def _write_again(writer: str, target: Path) -> None:
    if writer in (_FILE, _ALONE):
        with atomic_path(target, alone=writer == _ALONE) as path:
            path.write_text("new")
        return
    context = (
        atomic_folder(target, overwrite=True)
        if writer == _FOLDER
        else resumable_folder(target, {"a": 1}, overwrite=True)
    )
    with context as folder:
        (folder / "new").write_text("new")


_ALONE = _FILE.replace("(target)", "(target, alone=True)")


@pytest.mark.parametrize("writer", [_FOLDER, _RESUMABLE, _FILE, _ALONE])
@pytest.mark.parametrize(
    ("replaced", "exchange"),
    [(True, "counted(atomic.exchange)"), (True, "lambda first, second: False"), (False, "None")],
)
def test_killed_at_every_step_nothing_is_lost_and_nothing_stays(
    writer: str, replaced: bool, exchange: str, tmp_path: Path
) -> None:
    old, new = {"old": "old"}, {"new": "new"}
    if writer in (_FILE, _ALONE):
        old, new = {"out": "old"}, {"out": "new"}
    for step in range(1, 300):
        target = tmp_path / str(step) / "out"
        target.parent.mkdir()
        if replaced and writer not in (_FILE, _ALONE):
            target.mkdir()
        if replaced:
            (target if writer in (_FILE, _ALONE) else target / "old").write_text("old")
    code = _KILL_AT.replace("EXCHANGE", exchange).replace("WRITE", writer.strip())
    process = start(code, tmp_path)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    steps = int(output)
    assert steps > 10
    for step in range(1, steps):
        target = tmp_path / str(step) / "out"
        whole = [_content(path) for path in target.parent.iterdir()]
        assert not replaced or old in whole or new in whole, (step, whole)
        # No reader ever sees anything but the old or the new.
        assert not target.exists() or _content(target) in (old, new), step
        assert target.exists() or not replaced or "False" in exchange or not _EXCHANGES, step
        _write_again(writer, target)
        assert _content(target) == new, step
        assert hidden(target.parent) == [], step


def test_a_replaced_folder_is_put_back_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    code = (
        "from milannotations.storage import atomic\n"
        "atomic.exchange = lambda first, second: False\n"  # as on a network drive
        "replace = Path.replace\n"
        "def once(path, to):\n    if to == target: die()\n    return replace(path, to)\n"
        "Path.replace = once\n"
        "with atomic_folder(target, overwrite=True): pass\n"
    )
    killed(code, target)
    assert not target.exists()
    # The next run is refused, as it would have been before: the old content is there.
    with pytest.raises(InputError, match="not empty"), atomic_folder(target):
        raise AssertionError
    assert "it is put back" in capsys.readouterr().err
    assert (target / "old").exists()
    assert hidden(tmp_path) == []
    with pytest.raises(KeyError), atomic_folder(target, overwrite=True):
        raise KeyError
    assert hidden(tmp_path) == []
    assert (target / "old").exists()


def test_what_somebody_has_put_there_meanwhile_is_not_taken_for_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".out.1.old").mkdir()
    (tmp_path / ".out.1.old" / "mine").touch()
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out"):
        pass
    assert ".out.1.old is what was at" in capsys.readouterr().err
    assert (tmp_path / ".out.1.old" / "mine").exists()


def test_complete_work_is_not_done_again(tmp_path: Path) -> None:
    """Killed between the two renames at the end: all that remains is the last one."""
    target = tmp_path / "out"
    code = (
        "replace = Path.replace\n"
        "def once(path, to):\n    if to == target: die()\n    return replace(path, to)\n"
        "Path.replace = once\n"
        "with resumable_folder(target, {}) as work: (work / 'a').touch()\n"
    )
    killed(code, target)
    with resumable_folder(target, {}) as work:
        assert (work / "a").exists()
    assert hidden(tmp_path) == []


def test_the_temporary_of_a_live_process_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "with atomic_folder(target) as folder:\n"
        "    (folder / 'theirs').touch(); pause()\n"
        "print('done')\n"
    )
    with running(code, target) as other:
        with pytest.raises(InputError, match="another process"), atomic_folder(target):
            raise AssertionError
        with pytest.raises(InputError, match="another process"), resumable_folder(target, {}):
            raise AssertionError
        assert other.communicate("")[0] == "done\n"
    assert _content(target) == {"theirs": ""}
    assert hidden(tmp_path) == []


def test_names_with_signs_of_patterns_are_names(tmp_path: Path) -> None:
    target = tmp_path / "a[b]*?"
    target.mkdir()
    (target / "old").touch()
    other = tmp_path / ".ab.5.old"
    other.mkdir()
    with atomic_folder(target, overwrite=True) as folder:
        (folder / "new").touch()
    assert _content(target) == {"new": ""}
    assert other.exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "old").touch()
    (tmp_path / "out").symlink_to("disk")
    with atomic_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "new").touch()
    assert (tmp_path / "out").is_symlink()
    assert _content(tmp_path / "disk") == {"new": ""}
    with resumable_folder(tmp_path / "out", {}, overwrite=True) as folder:
        (folder / "newer").touch()
    assert (tmp_path / "out").is_symlink()
    assert _content(tmp_path / "disk") == {"newer": ""}
    assert hidden(tmp_path) == []


def test_the_leftovers_in_unfinished_work_are_removed(tmp_path: Path) -> None:
    code = (
        "with resumable_folder(target, {}) as work:\n"
        "    (work / 'data').mkdir()\n"
        "    with atomic_path(work / 'data' / 'a') as path: die()\n"
    )
    killed(code, tmp_path / "out")
    assert ".out.unfinished/data/.a.partial" in hidden(tmp_path)
    with resumable_folder(tmp_path / "out", {}):
        pass
    assert hidden(tmp_path) == []
    assert (tmp_path / "out" / "data").is_dir()


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    with atomic_path(Path("/dev/null")) as path:
        path.write_text("x")
    assert Path("/dev/null").is_char_device()


def test_this_folder_and_the_one_above_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    for target in (Path(), Path("..")):
        assert lock_file(target) == target.resolve().parent / f".{target.resolve().name}.lock"
    with atomic_folder(Path(".."), overwrite=True) as folder:
        (folder / "new").touch()
    assert _content(tmp_path / "here") == {"new": ""}
    assert hidden(tmp_path) == []


def test_two_folders_or_files_change_places(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "first", tmp_path / "second"):
        pytest.skip("this system, or this file system, cannot exchange two names in one step")
    assert _content(tmp_path / "first") == {"second": ""}
    assert _content(tmp_path / "second") == {"first": ""}
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "first", tmp_path / "nothing")


def test_finished_work_that_had_not_changed_places_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    code = (
        "from milannotations.storage import atomic\n"
        "atomic.exchange = lambda first, second: die()\n"
        "with resumable_folder(target, {}, overwrite=True) as work: (work / 'a').touch()\n"
    )
    killed(code, target)
    assert _content(target) == {"old": ""}
    with resumable_folder(target, {}, overwrite=True) as work:
        assert (work / "a").exists()
    assert _content(target) == {"a": ""}
    assert hidden(tmp_path) == []


def test_a_finished_target_is_tidied_even_if_the_next_run_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "from milannotations.storage import resumable\n"
        "unlink = Path.unlink\n"
        "def once(path, **how):\n"
        "    if path.name == '.out.unfinished.json': die()\n"
        "    return unlink(path, **how)\n"
        "Path.unlink = once\n"
        "with resumable_folder(target, {}) as work: (work / 'a').touch()\n"
    )
    killed(code, target)
    assert hidden(tmp_path) == [".out.lock", ".out.unfinished.json"]
    with pytest.raises(InputError, match="not empty"), resumable_folder(target, {}):
        raise AssertionError
    assert hidden(tmp_path) == []
    assert _content(target) == {"a": ""}


def test_unfinished_work_that_has_become_its_target_is_removed_and_other_work_stays(
    tmp_path: Path,
) -> None:
    target, work = tmp_path / "out", tmp_path / ".out.unfinished"
    for placed in (True, False):
        shutil.rmtree(target, ignore_errors=True)
        work.mkdir(exist_ok=True)
        (work / "checkpoint").touch()
        with atomic_folder(target) as folder:
            (folder / "a").touch()
            mark_placed(work, folder)
        if not placed:
            target.rename(tmp_path / "moved")  # removed, it could leave its number to the next
            target.mkdir()
            (target / "another").touch()
        with pytest.raises(InputError, match="not empty"):
            check_target(target)
        assert work.exists() is not placed
    tidy_up(tmp_path / "nothing")
    tidy_up(target)
    assert work.exists()


def test_what_a_library_leaves_beside_its_file_goes_too(tmp_path: Path) -> None:
    """As safetensors does, which writes to a temporary file of its own and renames it."""
    code = (
        "with atomic_path(target, alone=True) as path:\n"
        "    path.with_name('.tmpAb12Cd').touch(); die()\n"
    )
    killed(code, tmp_path / "out")
    assert ".out.partial/.tmpAb12Cd" in hidden(tmp_path)
    with atomic_path(tmp_path / "out", alone=True) as path:
        assert path.name == "out"
        path.write_text("new")
        path.with_name("other").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("step", ["replace", "rmtree"])
def test_work_that_is_being_discarded_is_whole_or_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "a").write_text("new")
    work = unfinished_folder(target)
    work.mkdir()
    (work / "shard").write_text("work")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt), locked(target):
        patched.setattr(*((Path, step) if step == "replace" else (shutil, step)), stopped)
        discard_work(target)
    if step == "replace":
        assert (work / "shard").read_text() == "work"
    else:
        tidy_up(target)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
