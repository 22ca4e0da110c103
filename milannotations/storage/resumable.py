"""Folders that survive an interruption: the next run continues from what is finished in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from milannotations.errors import InputError
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.progress import note
from milannotations.storage.atomic import atomic_path, put_in_place, real_folder
from milannotations.storage.failures import explaining
from milannotations.storage.locks import locked
from milannotations.storage.names import LOCK, PARTIAL, state_file, unfinished_folder
from milannotations.storage.targets import check_target
from milannotations.storage.tidying import recover

_STATE = "unfinished.json"


@contextmanager
def resumable_folder(
    target: Path, identity: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Path]:
    """Yield a working folder beside ``target`` that survives interruptions; rename it on success.

    The caller writes each file atomically and skips files that already exist.

    Args:
        target: The folder to write.
        identity: What the work is made from and how, as JSON; unfinished work is resumed only if
            its identity is the same, and is discarded otherwise.
        overwrite: Replace ``target`` if it exists.

    Raises:
        InputError: If ``target`` exists and ``overwrite`` is not set, if another process is
            writing it, if it cannot be written, or if the disk is full.
    """
    target = real_folder(target)
    work = unfinished_folder(target)
    hint = f". What was finished is kept in {work}"
    with explaining(target, hint), locked(target) as hold:
        if hold.writing:
            raise InputError(f"{target} is being written by another process, or by this one")
        hold.writing = True
        try:
            recover(target, hold)
            check_target(target, overwrite)
            _begin(target, work, _as_json(identity))
            notice = f"what was finished is kept in {work}: {AGAIN}"
            with saying_what_is_kept(lambda: notice):
                yield work
            # The state file must leave the folder before that gets its final name. Beside it, the
            # file tells the next run, if this one is killed in between, that the work is complete.
            (work / _STATE).replace(state_file(target))
            put_in_place(work, target)
            state_file(target).unlink(missing_ok=True)
        finally:
            hold.writing = False


def remove_dead(work: Path) -> None:
    """Remove temporary files and locks that killed processes have left in unfinished work.

    The caller holds the target's lock.
    """
    for path in [*work.rglob(f".*{PARTIAL}"), *work.rglob(f".*{LOCK}")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _begin(target: Path, work: Path, identity: str) -> None:
    """Create the working folder, or keep what can be resumed in it."""
    state, aside = work / _STATE, state_file(target)
    if aside.is_file():  # killed when only the last rename was left
        if work.is_dir():
            aside.replace(state)
        else:
            aside.unlink()
    others = work.is_dir() and any(path.name != _STATE for path in work.iterdir())
    if not state.is_file() or state.read_text(encoding="utf-8") != identity:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        with atomic_path(state) as path:
            path.write_text(identity, encoding="utf-8")
        if others:
            note(f"{work} held unfinished work on something else; it begins anew")
    elif others:
        note(f"going on with the unfinished work in {work}")
    remove_dead(work)


def _as_json(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, indent=1, sort_keys=True)
