"""Every command is made from the config that a library function takes: the two cannot differ."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from milannotations.cli import COMMANDS, app
from milannotations.config_options import ConfigOption, options_of_config

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("milannotations", "benchmark", "baselines", "applications", "leaderboard")


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    for child_name, child in (below or {}).items():
        yield from _leaves(f"{name} {child_name}", child)


def _commands() -> dict[str, Any]:
    root: Any = typer.main.get_command(app)
    context = typer.Context(root)
    return {
        name: command
        for top in COMMANDS
        for name, command in _leaves(top, root.resolve_command(context, [top])[1])
    }


_ALL = _commands()


def _options(command: Any) -> dict[str, ConfigOption]:
    return {option.name: option for option in options_of_config(command.callback.config)}


def test_all_commands_are_there() -> None:
    assert len(_ALL) >= 40
    assert {"build", "experiment edit", "leaderboard render", "splits list"} <= set(_ALL)


@pytest.mark.parametrize("name", _ALL)
def test_options_are_those_of_the_config(name: str) -> None:
    command = _ALL[name]
    options = _options(command)
    parameters = {
        p.name: p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)
    }
    assert set(parameters) == set(options)
    for key, option in options.items():
        parameter = parameters[key]
        required = option.default is inspect.Parameter.empty
        assert parameter.required == required, key
        if not required:
            assert parameter.default == option.default, key
        assert (getattr(parameter, "help", None) or "") == option.info.help, key


@pytest.mark.parametrize("name", _ALL)
def test_the_function_takes_the_config_and_has_no_defaults_of_its_own(name: str) -> None:
    call = _ALL[name].callback
    module, _, function_name = call.run.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    function = next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == function_name
    )
    arguments = function.args
    assert len(arguments.args) == 1 and not arguments.kwonlyargs and not arguments.defaults
    annotation = arguments.args[0].annotation
    assert annotation is not None
    # One function may serve several commands: it then takes the config of each.
    assert call.config.__name__ in ast.unparse(annotation).split(" | ")


def _functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for package in _PACKAGES:
        for path in (_ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    yield path, node


def test_no_function_declares_options_of_its_own() -> None:
    for path, function in _functions():
        if path.name == "cli.py":  # --plugin is of all commands
            continue
        for argument in (*function.args.args, *function.args.kwonlyargs):
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            declares = "typer.Option" in annotation or "typer.Argument" in annotation
            assert not declares, f"{path}: {function.name}"


def test_no_parameter_list_is_long() -> None:
    for path, function in _functions():
        arguments = [a for a in (*function.args.args, *function.args.kwonlyargs) if a.arg != "self"]
        assert len(arguments) <= 12, f"{path}: {function.name}"
