"""Folders that outlive an interruption: the next run goes on with what is finished in them."""

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
    """Give a working folder beside ``target`` that outlives an interruption; rename on success.

    Whoever uses it writes each file atomically and skips the files that are there already.

    Args:
        target: The folder to be.
        identity: What the work is made from and how, as JSON; unfinished work is gone on with
            only if it says the same, and is thrown away otherwise.
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
            # The state must not lie in the folder when that gets its name. Beside it, it tells the
            # next run that the work is complete if this one is killed between the two renames.
            (work / _STATE).replace(state_file(target))
            put_in_place(work, target)
            state_file(target).unlink(missing_ok=True)
        finally:
            hold.writing = False


def remove_dead(work: Path) -> None:
    """Remove the temporaries and locks that killed processes have left in unfinished work.

    The caller holds the lock of its target.
    """
    for path in [*work.rglob(f".*{PARTIAL}"), *work.rglob(f".*{LOCK}")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _begin(target: Path, work: Path, identity: str) -> None:
    """Make the working folder, or leave in it what may be gone on with."""
    state, aside = work / _STATE, state_file(target)
    if aside.is_file():  # killed when all was done but the last rename
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
