"""Loading neuron records by name."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset

from milannotations.errors import InputError
from milannotations.record import FEATURES

DEMO = "demo"


def load(name: str = DEMO, split: str | None = None) -> Dataset | DatasetDict:
    """Load neuron records.

    Args:
        name: ``demo``, or a local folder such as ``milannotations build`` writes.
        split: One split; default all of them.

    Returns:
        One split as a dataset, or all of them by name.

    Raises:
        InputError: If there is no such data set or split, or it holds no neuron records.
    """
    folder = Path(__file__).parent if name == DEMO else Path(name).expanduser()
    if not folder.is_dir():
        raise InputError(f"{name!r} is neither {DEMO!r} nor a folder")
    try:
        loaded = load_dataset(str(folder))
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} is no data set that can be read: {error}") from error
    for part in loaded.values():
        lacking = [column for column in FEATURES if column not in part.features]
        if lacking:
            raise InputError(f"{name!r} lacks the columns {lacking}; are these neuron records?")
    if split is None:
        return loaded
    if split not in loaded:
        raise InputError(f"{name!r} has the splits {sorted(loaded)}, not {split!r}")
    return loaded[split]
