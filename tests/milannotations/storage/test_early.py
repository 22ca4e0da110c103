"""Every command that writes looks at its target before it reads or computes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from milannotations.cli import app
from milannotations.errors import InputError

# Their inputs are missing: whatever says so has begun to work before it looked at the target.
_COMMANDS = {
    "score": "score --references none.csv --descriptions none.csv --out {}",
    "score --markdown": "score --references none.csv --descriptions none.csv --markdown {}/x.md",
    "quality": "quality none --out {}",
    "sanity": "sanity none --out {}",
    "sanity --markdown": "sanity none --markdown {}/x.md",
    "functional": "functional none.csv --images none --model none --out {}",
    "experiment baselines": "experiment baselines --data none --out {}",
    "experiment analyze": "experiment analyze none --labelled none --out {}",
    "describe": "describe --neurons none --method constant --out {}/x.csv",
    "dissect": "dissect --model none --concepts none --layers none --out {}",
    "view": "view none --out {}",
    "build": "build --model none --images none --out {}",
    "build --shard": "build --model none --images none --shard 1/2 --out {}",
    "merge": "merge none --images none --out {}",
    "import-release": "import-release none.zip --config alexnet-imagenet --out {}",
    "export-release": "export-release none --out {}",
    "export-release, zip": "export-release none --out {}.zip",
    "export-catalog": "export-catalog none --out {}",
    "render": "leaderboard render --results none --out {}",
    "demo": "demo --out {}",
    "rows": "leaderboard rows --out {}",
    "train": "train --data none --out {}",
    "train-language-model": "train-language-model --data none --out {}",
    "import-checkpoint": "import-checkpoint none --out {}",
}


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_target_below_a_file_is_refused_first(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = _COMMANDS[command].format(tmp_path / "file" / "out").split()
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError), (result.exception, result.output)
    assert str(tmp_path / "file") in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
