"""``experiment trials``: runs trials of an application, and summarizes them."""

from __future__ import annotations

from applications.config import TrialsConfig
from applications.trials.trial_runs import file_name, run_trials
from applications.trials.trial_summary import shown, write_summary
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.terminal import Console


def run(config: TrialsConfig) -> None:
    """Run trials, print what is finished, and write a summary.

    Raises:
        InputError: If there is no such describer, or the application has no spurious cue.
    """
    device = resolve_device(config.device)
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    if config.cue != "text" and config.what != "edit":
        raise InputError(f"--cue {config.cue} is of edit; {config.what} has no spurious cue")
    seeds = list(range(config.first_seed, config.first_seed + config.seeds))
    results = run_trials(config.what, seeds, config.out, config.method, device, say, config.cue)
    note = f"{config.seeds} trials, seeds {seeds[0]} to {seeds[-1]}; described by {config.method}."
    if config.what == "edit":
        note += f" Spurious cue: {config.cue}."
    name = file_name(config.what, config.cue)
    for row in write_summary(config.what, results, config.out, note, name).itertuples():
        say(f"{row.what}: {shown(row.mean, row.low, row.high, row.unit)}")
    say(f"Summary: {config.out / name}.md")
