"""Listing what interrupted runs have left, and removing it on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer
from rich.filesize import decimal

from milannotations.cleaning.config import CleanConfig
from milannotations.cleaning.leftovers import Kind, Leftover, default_folders, find
from milannotations.cleaning.removing import remove
from milannotations.errors import InputError
from milannotations.file_names import shown

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


def clean(config: CleanConfig) -> None:
    """List what interrupted runs have left, and remove it if ``config.remove`` says so.

    Raises:
        InputError: If a folder does not exist, options contradict each other, or something cannot
            be removed.
    """
    if config.unfinished and not config.remove:
        raise InputError("--unfinished says what --remove removes; pass both, or neither")
    for folder in config.folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; name one to look into")
    leftovers = find(config.folders or default_folders(), temporary=not config.folders)
    groups: dict[str, list[Leftover]] = {
        "Left over": [x for x in leftovers if not x.reason and not x.kind.resumable],
        "Unfinished; the same command goes on with it": [
            x for x in leftovers if not x.reason and x.kind.resumable
        ],
        "Not removed": [x for x in leftovers if x.reason],
    }
    for title, group in groups.items():
        _list(title, group)
    if not leftovers:
        typer.echo("nothing is left over")
        return
    over, resumable, _ = groups.values()
    if config.remove:
        _remove([*over, *(resumable if config.unfinished else [])])
        return
    if over:
        typer.echo("`milannotations clean --remove` removes what is left over")
    if resumable:
        typer.echo("`milannotations clean --remove --unfinished` removes unfinished work, too")


def _list(title: str, leftovers: Sequence[Leftover]) -> None:
    if not leftovers:
        return
    typer.echo(f"{title} ({decimal(sum(x.bytes for x in leftovers))}):")
    # Earlier versions left a lock for every target ever written: these get one line per folder.
    nameless = Counter(x.path.parent for x in leftovers if x.kind is Kind.LOCK and not x.target)
    for folder, count in nameless.items():
        typer.echo(f"  {shown(folder)}: {count} locks of an earlier version")
    for leftover in leftovers:
        if leftover.path.parent in nameless and not leftover.target:
            continue
        of = f" of {shown(leftover.target)}" if leftover.target else ""
        reason = f"; {shown(leftover.reason)}" if leftover.reason else ""
        typer.echo(
            f"  {shown(leftover.path)}: {leftover.kind.value}{of}, {decimal(leftover.bytes)}, "
            f"{_age(leftover.age)} old{reason}"
        )


def _remove(leftovers: Sequence[Leftover]) -> None:
    freed, count, failures = 0, 0, []
    for leftover in leftovers:
        if reason := remove(leftover):
            failures.append(f"{shown(leftover.path)}: {reason}")
        else:
            freed, count = freed + leftover.bytes, count + 1
    typer.echo(f"removed {count} of {len(leftovers)}, {decimal(freed)}")
    if failures:
        raise InputError("not removed: " + "; ".join(failures))


def _age(seconds: float) -> str:
    unit, length = next((u for u in _UNITS if seconds >= 2 * u[1]), _UNITS[-1])
    return f"{seconds / length:.0f} {unit}"
