"""Commands that keep their work say so when they are interrupted, and when they go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from applications.options import keeps_work, prepare_out


def test_what_is_kept_is_said_at_both_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    @keeps_work
    def command(out: Path, times: int = 1) -> None:
        (prepare_out(out, overwrite=False) / "exemplars").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command(out=out)
    said = " ".join(capsys.readouterr().err.split())
    kept = f"what was finished is kept in {out / 'work'}: run the same command again"
    assert said.startswith(f"note: interrupted; {kept}")
    prepare_out(out, overwrite=False)
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"note: going on: what is kept in {out / 'work'} is used again where it fits"


def test_typer_still_sees_the_commands_own_options(tmp_path: Path) -> None:
    app = typer.Typer()

    @app.command()
    @keeps_work
    def command(
        out: Annotated[Path, typer.Option(help="folder")], times: Annotated[int, typer.Option()] = 1
    ) -> None:
        typer.echo(f"{out.name} {times}")

    done = CliRunner().invoke(app, ["--out", str(tmp_path / "x"), "--times", "3"])
    assert done.stdout == "x 3\n"
