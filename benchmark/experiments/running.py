"""Runs an experiment: every split, method and trial, one cell after the other."""

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
    networks: AnnotatedNetworks,
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
    """Run every cell of an experiment that is not finished.

    Args:
        networks: The annotated networks.
        families: Families of splits.
        methods: The methods; if a reference is held out, the oracle and the oracle at wrong neurons
            are added.
        metrics: The metrics.
        folder: Folder of the cells.
        trials: Number of repetitions. Each has another seed for everything that is drawn: the
            neurons held out within a network, the training, and the descriptions.
        device: Device on which methods run.
        resamples: Bootstrap resamples over the neurons of each cell.
        say: Called with one line per split, about the leakage between its sides.
        protocol: Whether one reference is held out; see ``benchmark.references``.

    Raises:
        InputError: If a family has no splits of these networks, or a method fails.
    """
    load = lru_cache(maxsize=None)(networks.load)
    controls = _CONTROLS if protocol == HELD_OUT else ()
    plan: list[tuple[Split, MethodConfig, int]] = []
    for family in families:
        if not splits_of(family, networks.networks):
            raise InputError(f"{networks.name} has no splits of the family {family!r}")
        for trial in range(trials):
            plan += [
                (split, method, trial)
                for split in splits_of(family, networks.networks, trial)
                for method in (*methods, *controls)
            ]
    # Split by split, so that the training data are assembled once for all methods.
    cells = []
    sides: tuple[Split, Dataset, Dataset] | None = None
    plan.sort(key=lambda run: (families.index(run[0].family), run[2], run[0].name))
    earlier = len([*folder.glob("*.json")])
    if earlier:
        note(f"going on: {earlier} finished cells in {folder} are used again where they fit")
    finished = f"finished cells are kept in {folder}: {AGAIN}"
    with saying_what_is_kept(lambda: finished), progress_bar() as progress:
        bar = progress.add_task("Experiment", total=len(plan))
        for split, method, trial in plan:
            if sides is None or sides[0] != split:
                sides = split, select(split.learn, load), select(split.describe, load)
                if trial == 0:
                    leaks = "; ".join(leakage(sides[1], sides[2]).lines())
                    say(f"{split.family}, {split.train} → {split.test}: {leaks}")
            progress.update(bar, description=f"{method.name} · {split.name} · trial {trial}")
            settings = (metrics, folder, device, resamples, networks.name, protocol)
            cells.append(run_cell(split, method, trial, sides[1], sides[2], *settings))
            progress.advance(bar)
    return cells
