"""``milannotations clean``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from milannotations.cleaning.leftovers import Kind, Leftover, default_folders, find
from milannotations.cleaning.removing import remove
from milannotations.errors import InputError
from milannotations.file_names import shown

app = typer.Typer(add_completion=False)

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


@app.command()
def clean(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="where to look, with all folders below; default this one, the project's "
            "(MILANNOTATIONS_HOME) and, for locks of earlier versions, that of temporary files"
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="remove what is listed as left over")
    ] = False,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished",
            help="with --remove: also unfinished work, which the same command would go on with",
        ),
    ] = False,
) -> None:
    """List what interrupted runs have left: half-written files, locks, unfinished work."""
    if unfinished and not remove:
        raise InputError("--unfinished says what --remove removes; pass both, or neither")
    for folder in folders or []:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; name one to look into")
    leftovers = find(folders or default_folders(), temporary=not folders)
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
    if remove:
        _remove([*over, *(resumable if unfinished else [])])
        return
    if over:
        typer.echo("`milannotations clean --remove` removes what is left over")
    if resumable:
        typer.echo("`milannotations clean --remove --unfinished` removes unfinished work, too")


def _list(title: str, leftovers: Sequence[Leftover]) -> None:
    if not leftovers:
        return
    typer.echo(f"{title} ({decimal(sum(x.bytes for x in leftovers))}):")
    # Earlier versions left a lock for every target there ever was: these are one line a folder.
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
