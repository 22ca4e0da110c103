"""A user id without a name, and no HOME, as in a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In place of another user's id, which only root can take.
_WITHOUT_HOME = (
    "import os, os.path\n"
    "os.environ.pop('HOME', None)\n"
    "import pwd\n"
    "def unknown(uid): raise KeyError(uid)\n"
    "pwd.getpwuid = unknown\n"
    "assert os.path.expanduser('~/') == '~/'\n"
)


def _run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "HOME"}
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_HOME + code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_metrics_that_stem_words_work() -> None:
    done = _run(
        "from benchmark.metrics.rouge import RougeL\n"
        "print(RougeL()(['a red dog'], [['a red dog']]))\n"
        "assert 'HOME' not in os.environ\n"
    )
    assert done.returncode == 0, done.stderr
    assert "1.0" in done.stdout


def test_nltk_alone_is_what_needs_a_home() -> None:
    """If this fails, nltk can be imported without one, and ``no_home`` may go."""
    done = _run("import nltk\n")
    assert "default download directory" in done.stderr
