"""Running an experiment: every split, method and trial, one cell after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from datasets import Dataset

from benchmark.experiments.annotated_networks import AnnotatedNetworks
from benchmark.experiments.cells import CONTROLS, Cell, MethodConfig, run_cell
from benchmark.metrics.base import Metric
from benchmark.references import HELD_OUT, Protocol
from benchmark.splits.definitions import Split, splits_of
from benchmark.splits.leakage import leakage
from benchmark.splits.selecting import select
from milannotations.errors import InputError
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.progress import note, progress_bar

_CONTROLS = tuple(MethodConfig(name, name) for name in CONTROLS)


def run_experiment(
    universe: AnnotatedNetworks,
    families: Sequence[str],
    methods: Sequence[MethodConfig],
    metrics: Sequence[Metric],
    folder: Path,
    trials: int = 1,
    device: str = "auto",
    resamples: int = 1000,
    say: Callable[[str], None] = lambda _: None,
    protocol: Protocol = HELD_OUT,
) -> list[Cell]:
    """Run every cell of an experiment that is not done yet.

    Args:
        universe: The annotated networks.
        families: Of splits.
        methods: The methods; the oracle and the oracle at wrong neurons are added, where a
            reference is held out.
        metrics: What to measure.
        folder: Where cells are kept.
        trials: Repetitions with another seed of all that is drawn: the neurons held out within a
            network, the training, the descriptions.
        device: Where methods run.
        resamples: Bootstrap resamples over neurons of each cell.
        say: Told what each split leaks, and each cell's main number.
        protocol: Which references a description meets; see ``benchmark.references``.

    Raises:
        InputError: If a family has no splits here, or a method fails.
    """
    load = lru_cache(maxsize=None)(universe.load)
    controls = _CONTROLS if protocol == HELD_OUT else ()
    plan: list[tuple[Split, MethodConfig, int]] = []
    for family in families:
        found = splits_of(family, universe.networks)
        if not found:
            raise InputError(f"{universe.name} has no splits of the family {family!r}")
        for trial in range(trials):
            plan += [
                (split, method, trial)
                for split in splits_of(family, universe.networks, trial)
                for method in (*methods, *controls)
            ]
    # Split by split, so that what is trained on is put together once for all methods.
    cells = []
    sides: tuple[Split, Dataset, Dataset] | None = None
    plan.sort(key=lambda one: (families.index(one[0].family), one[2], one[0].name))
    done = len([*folder.glob("*.json")])
    if done:
        note(f"going on: {done} finished cells in {folder} are used again where they fit")
    finished = f"finished cells are kept in {folder}: {AGAIN}"
    with saying_what_is_kept(lambda: finished), progress_bar() as progress:
        bar = progress.add_task("Experiment", total=len(plan))
        for split, method, trial in plan:
            if sides is None or sides[0] != split:
                sides = split, select(split.learn, load), select(split.describe, load)
                if trial == 0:
                    found_leaks = "; ".join(leakage(sides[1], sides[2]).lines())
                    say(f"{split.family}, {split.train} → {split.test}: {found_leaks}")
            progress.update(bar, description=f"{method.name} · {split.name} · trial {trial}")
            cell = run_cell(
                split, method, trial, sides[1], sides[2], metrics, folder, device, resamples,
                universe.name, protocol,
            )  # fmt: skip
            cells.append(cell)
            progress.advance(bar)
    return cells
