"""Tables, JSON and YAML are each read in one place: nothing else may call Python's own readers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("milannotations", "benchmark", "baselines", "applications", "leaderboard")
# Of each kind: what reads it, and where that may stand and why.
READERS = {
    "JSON": (
        r"json\.loads?\((?!json\.dumps)|validate_json\(",
        {
            "milannotations/json_files.py": "the reader",
            "applications/labelled.py": "keys that it has written itself, in memory",
            "benchmark/per_neuron.py": "metadata of a Parquet file, not of a file",
            "milannotations/declared_files.py": "looks at what `datasets` will read, as it does",
            "leaderboard/definition.py": "YAML that was read, as JSON for strict types",
        },
    ),
    "tables": (
        r"csv\.(?:reader|DictReader)\(|read_csv\(",
        {
            "milannotations/rows.py": "the reader",
            "milannotations/tables.py": "the header alone, to find the delimiter",
            "benchmark/experiments/published.py": "a table of the package",
            "applications/trials/trial_summary.py": "a table of the package",
        },
    ),
    "YAML": (
        r"yaml\.(?:safe_)?(?:load|compose|parse)(?:_all)?\(",
        {
            "leaderboard/strict_yaml.py": "the reader",
            "milannotations/declared_files.py": "looks at what `datasets` will read, as it does",
        },
    ),
}


@pytest.mark.parametrize("kind", READERS)
def test_nothing_else_reads(kind: str) -> None:
    pattern, known = READERS[kind]
    calls = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert calls == set(known)
