"""The ``milannotations`` command.

Each command is defined in the package that does its work and is imported only when it is called, so
that ``milannotations --help`` does not import torch.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from milannotations.errors import InputError
from milannotations.failures import FAULT, complete_environment, sentence, tracebacks_wanted
from milannotations.notices import show_on_command_line
from milannotations.plugins import add_plugins
from milannotations.shadowing import put_own_packages_first
from milannotations.streams import guarded_streams
from milannotations.strict_options import make_strict
from milannotations.terminal import Console

# Command: its module, with the name of its typer app if that is not ``app``, and its summary.
COMMANDS = {
    "demo": ("leaderboard.demo", "Describe and score the embedded neurons; write a page."),
    "download": ("milannotations.download.commands", "Fetch and import the original releases."),
    "import-release": ("milannotations.release.commands", "Convert an original release."),
    "attach-images": ("milannotations.attach.commands", "Fill in exemplars from source images."),
    "export-release": (
        "milannotations.release_export.commands",
        "Write records in the original layout.",
    ),
    "export-catalog": (
        "milannotations.catalog_export.commands",
        "Write masked PNGs and a JSON list of units.",
    ),
    "quality": ("benchmark.quality.commands", "Report the quality of annotations and exemplars."),
    "push": ("milannotations.hub.commands", "Upload configs to a hub repository."),
    "build": ("milannotations.exemplars.commands", "Find the exemplars of a network's neurons."),
    "layers": ("milannotations.exemplars.layers_command", "List the layers that can be named."),
    "merge": ("milannotations.exemplars.merge_commands", "Merge the shards of a build."),
    "view": ("milannotations.viewer.commands", "Write pages of exemplars to look at."),
    "dissect": ("baselines.dissect_commands", "Compare units with labels of segmented images."),
    "train": ("baselines.milan.commands", "Train a MILAN on annotated neurons."),
    "train-language-model": (
        "baselines.milan.commands:language_model_app",
        "Train the language model of a MILAN alone.",
    ),
    "import-checkpoint": (
        "baselines.milan.commands:import_app",
        "Convert a checkpoint of the original MILAN.",
    ),
    "push-model": ("baselines.milan.commands:push_app", "Upload a trained model to the hub."),
    "describe": ("baselines.commands", "Describe neurons with a baseline."),
    "score": ("benchmark.commands", "Score a file of descriptions against annotations."),
    "functional": (
        "benchmark.functional.commands",
        "Score descriptions by the activations they predict.",
    ),
    "experiment": ("applications.experiment_commands", "Run the experiments of the paper."),
    "splits": ("benchmark.splits.commands", "List the splits; look for leaks."),
    "clean": ("milannotations.cleaning.commands", "List or remove what killed runs have left."),
    "sanity": ("benchmark.sanity.commands", "Ask which metrics can be fooled."),
    "leaderboard": ("leaderboard.commands", "Submit, score, verify, compare; render the site."),
}


class _LazyGroup(TyperGroup):
    """Lists the commands of the table above, and imports a command when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name][0].partition(":")
            app = getattr(importlib.import_module(module), attribute or "app")
            command = make_strict(typer.main.get_command(app))
        return name, command, rest


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Otherwise `echo` removes escape sequences from names; milannotations.streams shows them.
    context_settings={"color": True},
    help="What does a neuron in a vision network respond to, in words?",
)


@app.callback()
def _root(
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE",
            help="Module that adds describers, metrics, models, labelled images or boards; "
            "repeatable.",
        ),
    ] = None,
) -> None:
    add_plugins(plugin or [])


def main() -> None:
    """Run the command line. Errors of the input print one line, and the status is 2.

    Commands save their results before they print, so no result depends on the output being read.
    """
    put_own_packages_first()
    with guarded_streams() as streams:
        show_on_command_line()
        status = _run()
        for stream in streams:
            stream.flush()
            # If a pipe's reader has left, as in `| head -n 1`, the rest is not wanted.
            if stream.lost is not None and not stream.reader_is_gone:
                _print_error(f"output was lost ({stream.lost}); results that were saved are kept")
                status = status or 2
    sys.exit(status)


def _run() -> int:
    """Run the command and return its exit status."""
    try:
        complete_environment()
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _report(error)
    return 0


def _report(error: Exception) -> int:
    """Print an error and return the exit status."""
    line = str(error) if isinstance(error, InputError) else sentence(error)
    if line is None or tracebacks_wanted():
        traceback.print_exception(error)
    if line is None:
        _print_error("this is a fault of milannotations: please report it, with the lines above")
        return FAULT
    _print_error(line)
    return 2


def _print_error(message: str) -> None:
    console = Console(stderr=True)
    console.print("[bold red]error:[/] ", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
