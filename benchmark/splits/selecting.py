"""Loading the neurons of a split's selections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datasets import Dataset, concatenate_datasets

from benchmark.splits.definitions import Selection
from milannotations.errors import InputError
from milannotations.record import keys_of, undecoded

Load = Callable[[str], Dataset]


def select(selections: Sequence[Selection], load: Load) -> Dataset:
    """Return the neurons of some selections.

    Args:
        selections: One or more selections.
        load: Returns all neurons of a config.

    Raises:
        InputError: If a config lacks some of the selected units.
    """
    selected = []
    for selection in selections:
        neurons = load(selection.config)
        if selection.units is None:
            selected.append(neurons)
            continue
        wanted = {(layer, unit) for layer, units in selection.units.items() for unit in units}
        rows = [row for row, k in enumerate(keys_of(neurons)) if (k.layer, k.unit) in wanted]
        if len(rows) < len(wanted):
            raise InputError(
                f"{selection.config} has {len(rows)} of the {len(wanted)} neurons of the split; is "
                "it the whole release?"
            )
        selected.append(neurons.select(rows))
    if len(selected) == 1:
        return selected[0]
    features = selected[0].features
    return concatenate_datasets([undecoded(neurons) for neurons in selected]).cast(features)
