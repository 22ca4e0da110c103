"""Commands made from config models, so that every option is declared once.

A library function takes one config. The config's fields are the options of its command: a field's
type and default are the option's, the ``Attributes:`` section of the docstring is the help, and
pydantic's ``ge`` and ``le`` are the range. ``command`` makes the command::

    class ViewConfig(Config):
        \"""What pages show.

        Attributes:
            dataset: A dataset folder.
            layers: Names or patterns; repeatable.
            batch_size: Images per forward pass.
            force: Replace the pages.
        \"""

        dataset: Annotated[str, typer.Argument()]
        layers: Names = ()
        batch_size: Annotated[int, Field(ge=1)] = 32
        force: Annotated[bool, typer.Option("--force")] = False

    @command(app, ViewConfig, "milannotations.viewer.pages:write_pages")
    def view(config: ViewConfig, report: ViewReport) -> None:
        \"""Write pages to look at.\"""
        typer.echo(report.page)

The command calls ``write_pages(config)``, importing its module only then, and hands what it returns
to the decorated function, which prints it. In Python, ``write_pages(ViewConfig(dataset="demo"))``
does the same work with the same defaults and checks.

- A field that is a config itself adds its options in its place, so several commands can share one
  config; ``Only`` chooses among its options, and ``PythonOnly`` leaves a field out. Base classes
  share options too: these come after a class's own. A subclass that declares a field again changes
  its type or default. Options that must be given come first.
- A ``typer.Option`` or ``typer.Argument`` in ``Annotated`` says what a type cannot: another name, a
  metavar, a panel, or that a field is positional.
- A tuple is a repeatable option, and so is a mapping, which a pydantic validator of the field reads
  from texts. Any other type that a command line cannot hold is read from one text in the same way;
  ``WrittenAs(str)`` has a tuple read from one text, too.
- ``FormerName("--most")`` keeps an option's old name working: it is hidden, and gives a notice.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from milannotations.config_options import (
    ConfigOption,
    FormerName,
    Only,
    PythonOnly,
    WrittenAs,
    build_config,
    options_of_config,
)
from milannotations.notices import notify
from milannotations.options import input_error

__all__ = ["Config", "FormerName", "Only", "PythonOnly", "WrittenAs", "command"]
_Config = TypeVar("_Config")


class Config(BaseModel):
    """Settings of a library function, from which its command is made.

    Instances cannot be changed; ``model_copy(update=...)`` returns a changed one.

    Raises:
        InputError: If a value is of another type or out of range, or there is no such field.

    >>> from milannotations.shared_options import DeviceConfig
    >>> DeviceConfig(device="cpu").device
    'cpu'
    >>> DeviceConfig(devise="cpu")
    Traceback (most recent call last):
    milannotations.errors.InputError: DeviceConfig has no option 'devise'; did you mean 'device'?
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise input_error(error, type(self), type(self).__name__) from error


def command(
    app: typer.Typer, config: type[_Config], run: str, name: str | None = None
) -> Callable[[Callable[[_Config, Any], None]], Callable[..., None]]:
    """Return a decorator that adds a command, made from a config, to ``app``.

    Args:
        app: Gets the command.
        config: Its fields are the options.
        run: ``module:function`` that takes the config; the module is imported when it is called.
        name: Of the command; default that of the decorated function, which prints the result.
    """

    def add(show: Callable[[_Config, Any], None]) -> Callable[..., None]:
        options = options_of_config(config)

        def call(**values: Any) -> None:
            built = build_config(config, options, _renamed(options, values))
            module, _, function = run.partition(":")
            work = getattr(importlib.import_module(module), function)
            if "datasets" in sys.modules:
                importlib.import_module("milannotations.progress").silence_libraries()
            show(built, work(built))

        call.__name__, call.__doc__, call.__module__ = show.__name__, show.__doc__, show.__module__
        parameters = {option.name: option.parameter() for option in options}
        for option in options:
            if option.former:
                parameters[option.former.name] = option.former_parameter(option.former)
        call.__signature__ = inspect.Signature([*parameters.values()])  # type: ignore[attr-defined]
        call.__annotations__ = {key: value.annotation for key, value in parameters.items()}
        call.config, call.run = config, run  # type: ignore[attr-defined]
        return app.command(name)(call)

    return add


def _renamed(options: list[ConfigOption], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with those of old names under the new ones, and give notice of these."""
    values = dict(values)
    for option in options:
        if option.former and (value := values.pop(option.former.name)) not in (None, []):
            flag = f"--{option.name.replace('_', '-')}"
            notify(f"{option.former.flag} is now called {flag}; the old name will be removed")
            values[option.name] = value
    return values
