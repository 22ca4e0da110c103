"""Proved optima of many units, on all processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from joblib import Parallel, delayed
from scipy.sparse import csr_array

from baselines.compexp.beam import Ints, Space, dense_row
from baselines.compexp.formula import Formula
from baselines.compexp.optimal import Proof, optimal

AT_ONCE = 8  # units that a process takes at a time


def prove(
    space: Space,
    counts: csr_array,
    starts: Sequence[Formula],
    length: int,
    seconds: float | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Proof]:
    """Find the best formula of some units; see ``optimal``.

    Most of the time is spent in the interpreter, so units are spread over processes, not threads:
    one for each processor. Ctrl-C ends them at once.

    Args:
        space: The atoms.
        counts: Rows of ``Tally.counts``, (units, atoms).
        starts: A formula to begin with for each unit.
        length: Labels in the longest formula.
        seconds: Time limit for each unit.
        advance: Called with the number of units done.
    """
    areas = space.areas.astype("int64")
    groups = [
        range(first, min(first + AT_ONCE, len(starts))) for first in range(0, len(starts), AT_ONCE)
    ]
    processes = min(os.cpu_count() or 1, len(groups))
    running = Parallel(n_jobs=processes, return_as="generator")(
        delayed(_prove_group)(
            space.holds, areas, counts[list(group)], [starts[i] for i in group], length, seconds
        )
        for group in groups
    )
    proofs: list[Proof] = []
    for finished in running:
        proofs += finished
        advance(len(finished))
    return proofs


def _prove_group(
    holds: csr_array,
    areas: Ints,
    counts: csr_array,
    starts: Sequence[Formula],
    length: int,
    seconds: float | None,
) -> list[Proof]:
    space = Space(holds, areas)
    return [
        optimal(space, dense_row(counts, row), length, seconds=seconds, start=start)
        for row, start in enumerate(starts)
    ]
