"""Every command and snippet of README and docs runs, on small inputs.

Each page has a folder of its own with the files that it names, and its blocks are run in order.
Where a page names what a test cannot have (published weights of a large network, a million images),
``STAND_INS`` says what takes its place. What cannot run at all is in ``NOT_RUN``. That all commands
and options of the page exist is checked on the page as it is.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from milannotations.cli import COMMANDS, app
from tests.docs.inputs import write_inputs, write_network
from tests.docs.pages import PAGES, ROOT, Block, blocks_of, inline_commands
from tests.docs.substitutes import NOT_RUN, STAND_INS, before, prepare

# The recipes of CONTRIBUTING register a describer and a metric: test_contributing.py runs them.
_RUN = [page for page in PAGES if blocks_of(page) and page != "CONTRIBUTING.md"]


def _substituted(page: str, text: str) -> str:
    for pattern, replacement in [*STAND_INS.get(page, []), *STAND_INS["*"]]:
        text = re.sub(pattern, replacement, text)
    return text


def _reason(command: str) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, command)), None)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages name."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder / "files")
    write_network(folder)
    return folder


@pytest.fixture
def place(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to run a page's blocks in, with homes of its own."""
    folder = tmp_path / "work"
    shutil.copytree(inputs / "files", folder)
    for name in ("tuned.safetensors", "dino.pth", "sae.safetensors"):
        (folder / name).symlink_to(inputs / name)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(inputs / "torch"))
    monkeypatch.setenv("COLUMNS", "100")
    yield folder


def _run(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
        return
    assert program == "milannotations", f"no way to run {program!r} is known"
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise AssertionError(f"{command}\n{done.output}{done.exception}") from done.exception
    assert done.exit_code == 0, f"{command}\n{done.output}"


def _snippet(text: str, names: dict[str, Any]) -> None:
    with redirect_stdout(io.StringIO()):
        exec(compile(text, "snippet", "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("page", _RUN)
def test_every_block_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "snippet", "os": os}
    for number, block in enumerate(blocks_of(page)):
        prepare(page, number, place, names)
        if block.language == "python":
            at_root = bool(re.search("root of this repository|benchmark/metrics/", block.text))
            monkeypatch.chdir(ROOT if at_root else place)
            _snippet(_substituted(page, block.text), names)
            continue
        monkeypatch.chdir(place)
        for command in block.commands:
            if _reason(command) is None:
                before(command, place)
                _run(_substituted(page, command))


def _leaf(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words that follow its name."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "resolve_command") and words:
        name, *rest = words
        context = type(command).context_class(command)
        assert name in command.list_commands(context), f"there is no command {name!r}"
        _, command, _ = command.resolve_command(context, [name])
        words = rest
    return command, words


def _check_options(words: list[str]) -> None:
    command, rest = _leaf(words)
    options = {"--help"}
    for parameter in command.params:
        options |= {*parameter.opts, *parameter.secondary_opts}
    for word in rest:
        option = word.partition("=")[0]
        assert not option.startswith("--") or option in options, f"{option} in {words}"


def _all_commands() -> list[tuple[str, str]]:
    return [
        (page, command)
        for page in PAGES
        for block in blocks_of(page)
        if block.language != "python"
        for command in block.commands
    ]


def test_what_is_not_run_names_commands_of_the_pages() -> None:
    commands = [command for _, command in _all_commands()]
    for pattern in NOT_RUN:
        assert any(re.search(pattern, command) for command in commands), pattern
    for page, pairs in STAND_INS.items():
        pages = PAGES if page == "*" else [page]
        texts = [block.text for name in pages for block in blocks_of(name)]
        texts += [command for name, command in _all_commands() if name in pages]
        for pattern, _ in pairs:
            assert any(re.search(pattern, text) for text in texts), (page, pattern)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page: str) -> None:
    """Also of those that are not run, and of those that sentences name."""
    blocks = [c for p, c in _all_commands() if p == page]
    for text in [*blocks, *inline_commands(page)]:
        words = re.split(r"\s+", text.replace("…", " ").strip())
        while words and not words[0].startswith("milannotations"):
            words = words[1:]
        words = [word for word in words[1:] if word]
        if words and words[0] in COMMANDS:
            _check_options(words)
        else:
            assert not words, f"{page}: there is no command {words[0]!r} ({text})"


def test_pages_link_to_pages_that_exist() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_scripts_that_pages_name_exist() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for script in re.findall(r"python ((?:perf|scripts)/\S+?\.py)", text):
            assert (ROOT / script).is_file(), f"{page}: {script}"


def test_blocks_are_read() -> None:
    block = Block("p", "console", "a b \\\n  --c 'd e'   # why\n\n# nothing\nf#g\n")
    assert block.commands == ["a b --c 'd e'", "'f#g'"]
