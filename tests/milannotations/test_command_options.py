"""Commands made from configs: options, defaults, help and checks come from one declaration."""

from __future__ import annotations

import inspect
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from milannotations.command_options import Config, FormerName, command
from milannotations.config_options import options_of_config
from milannotations.errors import InputError
from milannotations.notices import Notice
from milannotations.shared_options import DescriberOptions, DeviceConfig, Names


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        readers: Processes that
            read images.
    """

    readers: int = 0


class Drawing(DeviceConfig):
    """What is drawn.

    Attributes:
        source: Where it is.
        layers: Names or patterns.
        files: Files to read.
        style: How it looks.
        count: How many.
        compile: Compile it.
        force: Replace it.
        option: For the describer.
        reading: How images are read.
    """

    source: Annotated[str, typer.Argument()]
    layers: Names = ()
    files: tuple[Path, ...] = ()
    style: Literal["border", "tint"] = "border"
    count: Annotated[int, Field(ge=1), FormerName("--most")] = 5
    compile: bool = False
    force: Annotated[bool, typer.Option("--force", "-f")] = False
    option: DescriberOptions = Field(default_factory=dict)
    reading: Reading = Reading()


app = typer.Typer()
_SEEN: list[Drawing] = []
_WORK = types.ModuleType("drawing_work")
_WORK.draw = lambda config: _SEEN.append(config) or "drawn"  # type: ignore[attr-defined]


@command(app, Drawing, "drawing_work:draw")
def draw(config: Drawing, result: str) -> None:
    """Draw what is asked for."""
    typer.echo(f"{result} {config.source}")


def _run(*arguments: str, status: int = 0) -> str:
    _SEEN.clear()
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "drawing_work", _WORK)


def test_a_command_without_options_calls_the_function_with_the_defaults() -> None:
    assert _run("here") == "drawn here\n"
    assert [Drawing(source="here")] == _SEEN


def test_options_reach_the_config_and_the_configs_in_it() -> None:
    _run(
        "here", "--layers", "a, b", "--layers", "c", "--files", "x", "--files", "y",
        "--style", "tint", "--count", "2", "--compile", "-f", "--option", "length=3",
        "--readers", "4", "--device", "cpu",
    )  # fmt: skip
    assert [
        Drawing(
            source="here", layers=("a", "b", "c"), files=(Path("x"), Path("y")), style="tint",
            count=2, compile=True, force=True, option={"length": 3}, reading=Reading(4),
            device="cpu",
        )
    ] == _SEEN  # fmt: skip


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--count", "0"), "--count"),
        (("--style", "square"), "border"),
        (("--sizes", "3"), "--sizes"),
        ((), "source"),
    ],
)
def test_wrong_values_are_refused_by_the_command_line(
    arguments: tuple[str, ...], message: str
) -> None:
    source = () if message == "source" else ("here",)
    assert message in _run(*source, *arguments, status=2).replace("SOURCE", "source")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"count": 0}, "Drawing: option count=0"),
        ({"style": "square"}, "option style='square'"),
        ({"sizes": 3}, "has no option 'sizes'"),
        ({"option": ["length"]}, "write it as NAME=VALUE"),
    ],
)
def test_wrong_values_are_refused_in_python(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Drawing(source="here", **values)
    with pytest.raises(InputError, match="source must be given"):
        Drawing(**{})


def test_help_is_the_docstring_and_names_what_the_types_say() -> None:
    options = {option.name: option for option in options_of_config(Drawing)}
    assert options["readers"].help == "Processes that read images."
    assert [*options][-1] == "device"  # what is inherited comes last
    text = _run("--help")
    for words in ("Draw what is asked for.", "How many.", "tint", "--no-compile", "-f"):
        assert words in text
    assert "--no-force" not in text


def test_the_work_s_module_is_imported_by_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "drawing_work")
    _run("--help")
    with pytest.raises(ModuleNotFoundError, match="drawing_work"):
        CliRunner().invoke(app, ["here"], catch_exceptions=False)


def test_an_old_name_still_works_with_a_notice() -> None:
    with pytest.warns(Notice, match="--most is now called --count"):
        _run("here", "--most", "3")
    assert [Drawing(source="here", count=3)] == _SEEN
    assert "--most" not in _run("--help")
    assert "--most" in _run("here", "--most", "0", status=2)


def test_two_options_of_one_name_and_options_without_help_are_mistakes() -> None:
    class Twice(Config):
        """Has two.

        Attributes:
            readers: One.
        """

        readers: int = 1
        reading: Reading = Reading()

    class Silent(Config):
        """Explains nothing."""

        size: int = 1

    with pytest.raises(TypeError, match="two options 'readers'"):
        options_of_config(Twice)
    with pytest.raises(TypeError, match="does not explain 'size'"):
        options_of_config(Silent)


def test_the_signature_is_what_typer_reads() -> None:
    parameters = inspect.signature(draw).parameters
    assert parameters["count"].default == 5
    assert parameters["source"].default is inspect.Parameter.empty
