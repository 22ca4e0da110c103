"""What is printed: replaced where it cannot be shown, and never obeyed."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from rich.table import Table
from tqdm import tqdm

from milannotations.cli import main
from milannotations.progress import progress_bar
from milannotations.streams import GuardedStream, guarded_streams, readable
from milannotations.terminal import Console, FittedTable

ROOT = Path(__file__).parents[2]
# Clears the screen, sets the window's title, goes up and wipes a line, hides text, turns it around;
# the last is the one-byte form of ESC [.
HOSTILE = "\x1b[2Ja\x1b]0;owned\x07b\x1b[A\x1b[2Kc\x1b[8md\u202ee\x9b2Jf\rg\x08\x00"
OBEYED = frozenset(map(chr, [*range(9), *range(11, 32), *range(127, 160), 0x202E])) - {"\n"}


@contextmanager
def _printed(encoding: str = "utf-8") -> Iterator[io.BytesIO]:
    """Put streams of an encoding in place, and give what reaches them."""
    raw, before = io.BytesIO(), (sys.stdout, sys.stderr)
    text = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    sys.stdout = sys.stderr = text
    try:
        with guarded_streams():
            yield raw
    finally:
        sys.stdout, sys.stderr = before
        text.detach()  # or it would close what is to be read


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "0.5 +/- 0.1 ... lambda = 2 - a \\u72ac >= \\udce9"),
        ("cp1252", "0.5 ± 0.1 … lambda = 2 · a \\u72ac >= \\udce9"),
        ("utf-8", "0.5 ± 0.1 … λ = 2 · a 犬 ≥ \\udce9"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(encoding: str, shown: str) -> None:
    text = "0.5 ± 0.1 … λ = 2 · a 犬 ≥ \udce9"  # the last: a byte of a path that is not UTF-8
    for write in (print, typer.echo, Console(width=100, highlight=False).print):
        with _printed(encoding) as raw:
            write(text)
        assert raw.getvalue().decode(encoding).rstrip("\r\n") == shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_tables_bars_and_spinners_in_every_encoding(encoding: str) -> None:
    table = Table("col · umn")
    table.add_row("犬…")
    with _printed(encoding) as raw:
        Console().print(FittedTable("Title …", ["λ", "±"], [["a", "0.5 [0.1, 0.9]"]]), table)
        with Console(force_terminal=True).status("Working …"):
            pass
        with progress_bar() as bar:
            bar.advance(bar.add_task("Reading …", total=1))
        for _ in tqdm(range(2), desc="déjà … 犬", ascii=False, file=sys.stderr):
            pass
    assert "0.5 [0.1, 0.9]" in raw.getvalue().decode(encoding)


def test_control_characters_are_written_out() -> None:
    assert not OBEYED & set(readable(HOSTILE))
    assert readable("a\tb\nc\r\n é 犬 🐕 \u200d") == "a\tb\nc\r\n é 犬 🐕 \u200d"
    console = Console(width=400, highlight=False)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    ways = [
        lambda: print(HOSTILE, file=sys.stderr),
        lambda: typer.echo(HOSTILE),
        lambda: console.print(HOSTILE, markup=False),
        lambda: console.print(FittedTable(HOSTILE, [HOSTILE], [[HOSTILE]], caption=HOSTILE)),
        lambda: console.print(table),
    ]
    for way in ways:
        with _printed() as raw:
            way()
        shown = raw.getvalue().decode()
        assert not OBEYED & set(shown), shown
        assert "\\x1b" in shown or "[2J" not in shown  # click takes sequences out instead


_ON_A_TERMINAL = r"""
import sys
from milannotations.streams import guarded_streams
from milannotations.progress import Bar, note, progress_bar
from milannotations.terminal import Console
from tests.output.test_streams import HOSTILE
import typer
with guarded_streams():
    print(HOSTILE)
    print("note:", HOSTILE, file=sys.stderr)
    typer.echo(HOSTILE)
    note(HOSTILE)
    with progress_bar() as progress:
        bar = Bar(progress, HOSTILE, 2)
        bar.advance(1)
        bar.say(HOSTILE)
        print(HOSTILE)
        bar.advance(1)
    console = Console()
    console.print("[bold red]error:[/] ", end="")
    console.print(HOSTILE, markup=False, highlight=False, soft_wrap=True)
"""


def test_on_a_terminal_styles_are_obeyed_and_data_are_not() -> None:
    shown = _on_a_terminal([sys.executable, "-c", _ON_A_TERMINAL])
    assert "\x1b[1;31merror:" in shown  # rich's own styles
    assert "\\x1b]0;owned\\x07" in shown
    for sequence in ("\x1b[2J", "\x1b]0;", "\x07", "\x1b[8m", "\u202e", "\x9b", "\x00", "\x08"):
        assert sequence not in shown


def test_help_and_mistakes_on_a_terminal() -> None:
    command = [sys.executable, "-m", "milannotations", "download", "--no-such\x1b[2J", "base"]
    shown = _on_a_terminal(command)
    assert "No such option" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[" in _on_a_terminal([sys.executable, "-m", "milannotations", "--help"])


def _on_a_terminal(command: list[str]) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            shown += more
    os.close(ours)
    return shown.decode()


def test_what_python_itself_says_of_help_in_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "milannotations", "score", "--help"], capture_output=True, cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"--references" in done.stdout


def test_streams_are_restored_and_others_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    before = sys.stderr
    with guarded_streams() as streams:
        assert sys.stdout is notebook
        assert all(isinstance(stream, GuardedStream) for stream in streams)
    assert sys.stderr is before


def test_nothing_of_this_project_prints_past_the_console() -> None:
    imports = ("from rich.console import Console", "import rich.console", "from rich import print")
    for package in ("milannotations", "benchmark", "baselines", "applications", "leaderboard"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            allowed = path == ROOT / "milannotations" / "terminal.py"
            assert allowed or not any(line in text for line in imports), path


def test_names_of_layers_and_units_are_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_network.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    net = nn.Sequential()\n"
        "    net.add_module('a\\x1b[2Jb\\u202e', nn.Conv2d(3, 2, 3))\n"
        "    return net\n"
    )
    for name, column in (("r", "summary"), ("d", "description")):
        rows = "".join(f"l\x1b]0;owned\x07,{unit},red\x1b[8m dog {unit}\n" for unit in range(2))
        (tmp_path / f"{name}.csv").write_text(f"layer,unit,{column}\n{rows}{rows}" if name == "r"
                                              else f"layer,unit,{column}\n{rows}")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    score = "score --references r.csv --descriptions d.csv --metric bleu --out o --no-sanity"
    for words in ("layers hostile_network:make --input-size 16", score, "splits categories r.csv",
                  "quality r.csv"):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["milannotations", *words.split()])
        with pytest.raises(SystemExit):
            main()
        shown = capsys.readouterr()
        assert not OBEYED & set(shown.out + shown.err), words
        if words.startswith("layers"):
            assert "a\\x1b[2Jb\\u202e" in shown.out
