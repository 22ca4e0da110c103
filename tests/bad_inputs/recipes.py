"""Bad inputs that are too large, or too odd for a file system or git, to be kept as files."""

from __future__ import annotations

from pathlib import Path

from tests.bad_inputs.cases import recipe


@recipe("words", "missing.csv")
def missing(path: Path) -> None:
    """Make nothing."""
