"""``milannotations clean``, on what killed processes leave and on what only looks like it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from milannotations.cleaning.leftovers import Kind, find, looked_at
from milannotations.cleaning.removing import remove
from milannotations.cli import app
from milannotations.errors import InputError
from milannotations.storage import atomic_folder
from tests.milannotations.storage.processes import killed, running


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the tests a home and a folder of temporary files of their own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(folder / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    return folder


def _clean(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["clean", *map(str, arguments)])


def _lines(text: str) -> str:
    return " ".join(text.split())


def _made_old(path: Path, seconds: float = 7200) -> None:
    then = time.time() - seconds
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(each, (then, then))


def test_what_killed_processes_leave_is_listed_and_removed(tmp_path: Path) -> None:
    killed(
        "with atomic_folder(target) as folder:\n"
        "    (folder / 'page').write_text('x' * 1000); die()",
        tmp_path / "site",
    )
    killed("with atomic_path(target) as path: path.write_text('x'); die()", tmp_path / "a.csv")
    (tmp_path / "deep").mkdir()
    killed("with resumable_folder(target, {}) as work: die()", tmp_path / "deep" / "data")
    listed = _clean(tmp_path)
    assert listed.exit_code == 0
    out = _lines(listed.output)
    assert f".site.partial: half-written of {tmp_path / 'site'}, 1.0 kB, " in out
    assert f".a.csv.partial: half-written of {tmp_path / 'a.csv'}, 1 byte, " in out
    assert f".site.lock: lock of {tmp_path / 'site'}, " in out
    unfinished = out.index("Unfinished; the same command goes on with it")
    assert out.index(".site.partial") < unfinished < out.index("deep/.data.unfinished: unfinished")
    assert len(list(tmp_path.iterdir())) == 5  # listing removes nothing
    assert "removed 5 of 5, 1.1 kB" in _lines(_clean(tmp_path, "--remove").output)
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]
    assert "removed 1 of 1" in _clean(tmp_path, "--remove", "--unfinished").output
    assert list((tmp_path / "deep").iterdir()) == []
    assert _clean(tmp_path).output == "nothing is left over\n"


def test_what_is_in_use_is_left(tmp_path: Path) -> None:
    code = (
        "with atomic_folder(target) as folder:\n    (folder / 'x').touch(); pause()\nprint('done')"
    )
    work = "with resumable_folder(target, {}) as work:\n    pause()"
    with running(code, tmp_path / "site") as one, running(work, tmp_path / "data"):
        out = _lines(_clean(tmp_path, "--remove", "--unfinished").output)
        assert out.startswith("Not removed")
        assert out.count("in use") == 4
        assert "removed 0 of 0" in out
        assert one.communicate("")[0] == "done\n"
    assert (tmp_path / "site" / "x").exists()


def test_a_shard_that_is_written_keeps_the_unfinished_folder(tmp_path: Path) -> None:
    work = tmp_path / ".out.unfinished"
    work.mkdir()
    with running("with locked(target): pause()", work / "shard-0001-of-0002.safetensors"):
        assert "in use" in _clean(tmp_path, "--remove", "--unfinished").output
    assert work.is_dir()


def test_what_begins_to_be_used_after_the_list_is_left(tmp_path: Path) -> None:
    killed("with atomic_folder(target): die()", tmp_path / "site")
    leftovers = find([tmp_path], temporary=False)
    with running("with atomic_folder(target): pause()", tmp_path / "site"):
        assert [remove(leftover) for leftover in leftovers] == ["in use", "in use"]
        assert (tmp_path / ".site.partial").is_dir()


def test_what_only_has_a_name_like_ours_is_never_touched(tmp_path: Path) -> None:
    """Links, locks of other programs, files where there must be folders, other names."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / ".x.partial").write_text("mine")
    looked = tmp_path / "looked"
    (looked / ".milannotations-locks-me").mkdir(parents=True)
    for name in (".x.lock", ".x.12.old", ".x.old", "x.partial", "x.unfinished", "x.lock"):
        (looked / name).write_text("another program's")
    for name in (".partial", ".unfinished", ".lock", "..partial.txt", ".x.partial~"):
        (looked / name).write_text("")
    (looked / ".y.unfinished").write_text("a file")
    (looked / ("a" * 32)).write_text("")
    for name in (".a.partial", ".b.unfinished", ".c.lock", "folder"):
        (looked / name).symlink_to(tmp_path / "precious")
    before = sorted(looked.iterdir())
    assert _clean(looked, "--remove", "--unfinished").output == "nothing is left over\n"
    assert sorted(looked.iterdir()) == before
    assert (tmp_path / "precious" / ".x.partial").read_text() == "mine"


def test_links_in_what_is_removed_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / "here" / ".x.partial").mkdir(parents=True)
    (tmp_path / "here" / ".x.partial" / "link").symlink_to(tmp_path / "precious")
    assert "removed 1 of 1, 0 bytes" in _clean(tmp_path / "here", "--remove").output
    assert (tmp_path / "precious" / "file").exists()
    assert list((tmp_path / "here").iterdir()) == []


def test_the_only_copy_of_something_is_never_removed(tmp_path: Path) -> None:
    for name in (".out.1.old", ".new.1.old", "new", ".same.2.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "same").mkdir()
    whole = (tmp_path / "same").stat().st_ino
    (tmp_path / ".same.2.old").rename(tmp_path / f".same.{whole}.old")
    out = _lines(_clean(tmp_path, "--remove", "--unfinished").output)
    assert "all there is of out: the command that was replacing it puts it back" in out
    assert "something else was put at new since" in out
    assert {p.name for p in tmp_path.iterdir()} == {".out.1.old", ".new.1.old", "new", "same"}
    with atomic_folder(tmp_path / "out", overwrite=True):
        pass
    assert not (tmp_path / ".out.1.old").exists()


def test_leftovers_of_earlier_versions_wait_until_they_are_old(tmp_path: Path) -> None:
    """Nothing tells whether these are in use."""
    for name in (".site.ab12_xyz.partial", ".site.ab12_xyz.old", "site"):
        (tmp_path / name).mkdir()
    out = _lines(_clean(tmp_path, "--remove").output)
    assert f"half-written of {tmp_path / 'site'}, " in out
    assert "no lock tells" in out
    assert (tmp_path / ".site.ab12_xyz.partial").is_dir()
    assert not (tmp_path / ".site.ab12_xyz.old").exists()  # `site` is complete
    _made_old(tmp_path / ".site.ab12_xyz.partial")
    assert "2 hours old" in _lines(_clean(tmp_path).output)
    _clean(tmp_path, "--remove")
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_the_lock_folder_of_earlier_versions_is_emptied(elsewhere: Path) -> None:
    folder = elsewhere / "tmp" / "milannotations-locks-me"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:032x}").touch()
    (folder / "notes.txt").touch()
    (elsewhere / "tmp" / "somebody-elses").mkdir()
    other = FileLock(folder / f"{7:032x}")
    with other:
        out = _lines(_clean(elsewhere / "home").output)
        assert out == "nothing is left over"  # only what is named is looked at
        out = _lines(CliRunner().invoke(app, ["clean", "--remove"]).output)
        assert f"{folder}: 19 locks of an earlier version" in out
        assert {p.name for p in folder.iterdir()} == {f"{7:032x}", "notes.txt"}
    (folder / "notes.txt").unlink()
    CliRunner().invoke(app, ["clean", "--remove"])
    assert not folder.exists()


def test_half_finished_work_in_the_project_folder_is_named(elsewhere: Path) -> None:
    home = elsewhere / "home"
    counted = home / "dissection" / "0123456789abcdef"
    for folder in (home / "downloads", home / "features" / ".abc.unfinished", counted):
        folder.mkdir(parents=True)
    (home / "downloads" / "base.zip.partial").write_bytes(b"PK" * 50)
    (home / "downloads" / "base.zip.partial.json").write_text("{}")
    (home / "downloads" / "base.zip").write_bytes(b"whole")
    (home / "fingerprints.json").write_text("{}")
    (home / "fingerprints.json.lock").write_text("")
    (counted / "maps-0123456789ab-0000128.safetensors").write_bytes(b"x" * 10)
    (counted / "tally-0123456789ab.safetensors").write_bytes(b"x" * 10)
    kinds = {x.path.name: x.kind for x in find([home], temporary=True)}
    assert kinds == {
        "base.zip.partial": Kind.DOWNLOAD,
        "base.zip.partial.json": Kind.DOWNLOAD,
        ".abc.unfinished": Kind.UNFINISHED,
        "fingerprints.json.lock": Kind.LOCK,
        "maps-0123456789ab-0000128.safetensors": Kind.UNFINISHED,
    }
    _clean(home, "--remove")
    assert not (home / "fingerprints.json.lock").exists()
    assert (home / "downloads" / "base.zip.partial").exists()
    _clean(home, "--remove", "--unfinished")
    left = {p.name for p in home.rglob("*") if p.is_file()}
    assert left == {"base.zip", "fingerprints.json", "tally-0123456789ab.safetensors"}


def test_a_folder_of_uploads_that_was_abandoned(elsewhere: Path) -> None:
    copy = elsewhere / "tmp" / "milannotations-upload-a1b2c3d4"
    copy.mkdir()
    (copy / "shard").write_bytes(b"x" * 2000)
    (elsewhere / "tmp" / "milannotations-10000001").mkdir()  # the home of a user without one
    (new,) = find([], temporary=True)
    assert "may be in use" in new.reason
    _made_old(copy)
    (old,) = find([], temporary=True)
    assert (old.kind, old.bytes, old.reason) == (Kind.UPLOAD, 2000, "")
    assert remove(old) == ""
    assert not copy.exists()


def test_mistakes_are_named(tmp_path: Path) -> None:
    for arguments in (["--unfinished", str(tmp_path)], [str(tmp_path / "none")]):
        result = CliRunner().invoke(app, ["clean", *arguments])
        assert isinstance(result.exception, InputError)
    assert looked_at(tmp_path / "none") is None


def test_names_from_others_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / ".a\x1b[31m\n.partial").touch()
    assert "\x1b" not in _clean(tmp_path).output
    assert "a\\x1b[31m\\n" in _clean(tmp_path).output
