"""Commands that keep their work say so when they are interrupted, and when they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications.config import ReportConfig
from applications.preparing import keeps_work, prepare_out


def test_what_is_kept_is_said_at_both_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    @keeps_work
    def command(config: ReportConfig) -> None:
        (prepare_out(config.out, overwrite=False) / "exemplars").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command(ReportConfig(out=out))
    said = " ".join(capsys.readouterr().err.split())
    kept = f"what was finished is kept in {out / 'work'}: run the same command again"
    assert said.startswith(f"note: interrupted; {kept}")
    prepare_out(out, overwrite=False)
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"note: going on: what is kept in {out / 'work'} is used again where it fits"
