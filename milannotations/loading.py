"""Loading neuron records by name, and finding single neurons among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import pyarrow as pa
from datasets import (
    Dataset,
    DatasetDict,
    IterableDataset,
    IterableDatasetDict,
    load_dataset,
    load_dataset_builder,
    load_from_disk,
)
from datasets.config import HF_DATASETS_CACHE
from datasets.exceptions import DatasetGenerationError

from milannotations.annotations import read_annotations, to_dataset
from milannotations.builder import DEMO, Milannotations
from milannotations.catalog.releases import GROUPS, RELEASES, canonical, is_known
from milannotations.data_home import home
from milannotations.declared_files import (
    check_pictures,
    check_repository_card,
    check_resolved,
    checked_stream,
)
from milannotations.errors import InputError, NoNeuronError, did_you_mean
from milannotations.hub_access import asking_hub
from milannotations.local_data import plain_path
from milannotations.networks.record import attach_records
from milannotations.networks.source import records_of_source
from milannotations.parquet import check_unpacked, open_parquet
from milannotations.record import FEATURES, NeuronKey, keys_of
from milannotations.record_checks import check_records, decoded_record
from milannotations.tables import is_table

Loaded: TypeAlias = "Dataset | DatasetDict | IterableDataset | IterableDatasetDict"
_HUB = re.compile(r"(hf://datasets/)?[\w.-]+/[\w.-]+")
_SAVED = ("state.json", "dataset_dict.json")
_rows: WeakKeyDictionary[Dataset, dict[NeuronKey, int]] = WeakKeyDictionary()


def load(
    name: str | Path = DEMO,
    split: str | None = None,
    *,
    layers: str | Sequence[str] | None = None,
    units: Iterable[int] | None = None,
    streaming: bool = False,
    config: str | None = None,
    revision: str | None = None,
    check: bool = True,
) -> Loaded:
    """Load neuron records, memory-mapped whatever their size.

    Args:
        name: A config (``alexnet-imagenet``, also ``alexnet/imagenet``); a group (``base``,
            ``not-biggan-imagenet``); ``demo``; a dataset folder, including one written by
            ``save_to_disk``; a Parquet file; a CSV of annotations; or a repository on the hub.
        split: One split; default the only one, or a dictionary of all splits if there are several.
        layers: Keep only these layers.
        units: Keep only these units of each layer.
        streaming: Yield records one by one, without copying anything into the cache.
        config: Which config, if a folder or repository has several.
        revision: Which revision of a repository.
        check: Refuse invalid records, such as those with lists of different lengths; see
            ``milannotations.record_checks``. `milannotations quality` counts them instead.

    Returns:
        A dataset with ``milannotations.record.FEATURES``, or a dictionary of datasets by split.
        With ``with_format("torch")``, a record's images are uint8 of shape (k, 3, height, width)
        and its masks are boolean of shape (k, 1, height, width).

    Raises:
        InputError: If the data, split, layer or unit does not exist, or the data are not neuron
            records.
    """
    wanted = [layers] if isinstance(layers, str) else list(layers) if layers is not None else None
    numbers = [int(unit) for unit in units] if units is not None else None
    options: dict[str, Any] = {"streaming": streaming}
    if streaming and (condition := _condition(wanted, numbers)):
        options["filters"] = condition
    if config is not None:
        options["name"] = config
    if revision is not None:
        options["revision"] = revision
    loaded = _open(str(name), options)
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    for dataset in splits.values():
        features = dataset.features or FEATURES  # a stream may not know its features yet
        lacking = [column for column in FEATURES if column not in features]
        if lacking:
            raise InputError(f"{name} lacks the columns {lacking}; are these neuron records?")
    if streaming:
        splits = {key: checked_stream(dataset, str(name)) for key, dataset in splits.items()}
    else:
        splits = _checked_splits(splits, name, revision, check)
    if split is None and len(splits) > 1:
        return type(loaded)(
            {key: _filter(dataset, wanted, numbers) for key, dataset in splits.items()}
        )
    chosen = split if split is not None else next(iter(splits))
    if chosen not in splits:
        hint = did_you_mean(chosen, splits)
        raise InputError(f"{name} has the splits {sorted(splits)}, not {chosen!r}{hint}")
    return _filter(splits[chosen], wanted, numbers)


def _checked_splits(
    splits: Mapping[str, Dataset], name: str | Path, revision: str | None, check: bool
) -> dict[str, Dataset]:
    """Return splits with their networks' records; arguments and errors are those of ``load``."""
    splits = {key: _as_records(dataset, name) for key, dataset in splits.items()}
    # Our own records were checked when they were written.
    is_foreign = name != DEMO and not is_known(str(name))
    for dataset in splits.values():
        if check and is_foreign:
            check_records(dataset, name)
        check_pictures(dataset, str(name))
    records = records_of_source(str(name), next(iter(splits.values())), revision)
    for dataset in splits.values():
        attach_records(dataset, records)
    return splits


def load_split(name: str | Path, split: str | None = None, **options: Any) -> Dataset:
    """Load one split; see ``load``.

    Raises:
        InputError: As in ``load``, and if there are several splits and none is named.
    """
    loaded = load(name, split, **options)
    if isinstance(loaded, DatasetDict):
        raise InputError(f"{name} has the splits {sorted(loaded)}; name one of them")
    assert isinstance(loaded, Dataset)
    return loaded


def lookup(
    neurons: Dataset, layer: str, unit: int, model: str | None = None, dataset: str | None = None
) -> dict[str, Any]:
    """Return the record of one neuron.

    Args:
        neurons: Records; the first call indexes their keys, and the index is kept.
        layer: Name of the layer; a number such as 4 is taken as its name.
        unit: Number of the unit.
        model: Needed if several networks have such a neuron.
        dataset: Likewise.

    Raises:
        NoNeuronError: If the neuron does not exist.
        InputError: If several neurons match.
    """
    rows = _rows.get(neurons)
    if rows is None:
        rows = _rows[neurons] = {key: row for row, key in enumerate(keys_of(neurons))}
    if model is not None and dataset is not None:
        matches = [key for key in (NeuronKey(model, dataset, str(layer), unit),) if key in rows]
    else:
        matches = [
            key
            for key in rows
            if (key.layer, key.unit) == (str(layer), unit)
            and model in (None, key.model)
            and dataset in (None, key.dataset)
        ]
    if not matches:
        layers = {key.layer for key in rows}
        hint = did_you_mean(str(layer), layers) if str(layer) not in layers else ""
        raise NoNeuronError(f"no neuron {layer}:{unit}{hint} (layers: {', '.join(sorted(layers))})")
    if len(matches) > 1:
        raise InputError(
            f"{len(matches)} networks have a neuron {layer}:{unit} "
            f"({', '.join(f'{key.model}-{key.dataset}' for key in matches)}); name model "
            "and dataset"
        )
    return decoded_record(neurons, rows[matches[0]])


def _open(name: str, options: dict[str, Any]) -> Loaded:
    """Return the data that a name refers to."""
    path = Path(name).expanduser()
    streaming = options["streaming"]
    if name == DEMO or is_known(name):
        for option in {"name", "revision"} & set(options):
            shown = "config" if option == "name" else option
            raise InputError(f"{name!r} takes no {shown}: it is not a folder or repository")
        return _known(name, options)
    if is_table(path):
        table = to_dataset(read_annotations(path))
        return table.to_iterable_dataset() if streaming else table
    if not path.exists() and (path.is_absolute() or name.startswith(".")):
        raise InputError(f"{name} does not exist; name a folder with a data set, or a Parquet file")
    if not path.exists() and not _HUB.fullmatch(name):
        hint = did_you_mean(name, [DEMO, *RELEASES, *GROUPS])
        raise InputError(
            f"{name!r} is neither {DEMO!r}, a config, a group, nor a folder{hint} (configs: "
            f"{', '.join(RELEASES)}; groups: {', '.join(GROUPS)})"
        )
    try:
        if path.exists():
            return _local(plain_path(path), options)
        with asking_hub(f"{name!r} is no folder here; the hub's data set of this name"):
            check_repository_card(name.removeprefix("hf://datasets/"), options.get("revision"))
            return load_dataset(name, **options)
    except InputError:
        raise
    except Exception as error:  # `datasets` raises a dozen kinds, its own and pyarrow's
        what = "folder or file" if path.exists() else "folder here nor a repository on the hub"
        hint = "" if path.exists() else did_you_mean(canonical(name), [*RELEASES, *GROUPS])
        cause = error.__cause__ or error
        raise InputError(f"{name!r} is no {what} that can be read{hint}: {cause}") from error


def _known(name: str, options: dict[str, Any]) -> Loaded:
    filters = {"filters": options["filters"]} if "filters" in options else {}
    try:
        builder = Milannotations(config_name=name, **filters)
        if options["streaming"]:
            streamed: Loaded = builder.as_streaming_dataset()
            return streamed
        if not builder.is_prepared:
            builder.download_and_prepare()
        return builder.as_dataset()
    except (OSError, DatasetGenerationError, pa.ArrowInvalid) as error:
        cause = error.__cause__ or error
        if isinstance(cause, OSError):
            raise InputError(
                f"{name} cannot be copied into the cache {HF_DATASETS_CACHE} ({cause}); make room "
                "there, or set HF_DATASETS_CACHE to a folder that can be written"
            ) from error
        raise InputError(
            f"{name}: a shard below {home() / 'configs'} is damaged ({cause}); import it again "
            "with --overwrite"
        ) from error


def _local(local_path: Path, options: dict[str, Any]) -> Loaded:
    if local_path.is_file():
        return _load_files("parquet", {"train": [str(local_path)]}, options)
    if any((local_path / file).is_file() for file in _SAVED) and not options["streaming"]:
        return load_from_disk(str(local_path))
    # Not load_dataset(folder): if a card lists the data files, `datasets` caches them under the
    # folder's last name alone, and returns the old records after the folder was rewritten.
    builder = load_dataset_builder(str(local_path), options.pop("name", None))
    for paths in builder.config.data_files.values():
        check_resolved(local_path, paths)
    # These are file names, no longer patterns.
    files = {
        split: [str(path) for path in paths] for split, paths in builder.config.data_files.items()
    }
    return _load_files(builder.name, files, options)


def _load_files(kind: str, files: dict[str, list[str]], options: dict[str, Any]) -> Loaded:
    """Load files of one kind by split; Parquet files are checked first.

    `datasets` reads whole row groups. Files that it has already copied into its cache have been
    checked before.

    Raises:
        InputError: If a Parquet file is damaged, or unpacks to far more than its own size.
    """
    escaped = {split: [escape(path) for path in paths] for split, paths in files.items()}
    tables = [Path(path) for paths in files.values() for path in paths if _is_local_table(path)]
    if options["streaming"]:
        for path in tables:
            with open_parquet(path):  # checks the footer alone: a stream reads nothing in advance
                pass
    elif not Path(load_dataset_builder(kind, data_files=escaped).cache_dir).is_dir():
        check_unpacked(tables)
    return load_dataset(kind, data_files=escaped, **options)


def _is_local_table(path: str) -> bool:
    return path.endswith(".parquet") and Path(path).is_file()


def _as_records(dataset: Dataset, name: str | Path) -> Dataset:
    """Return the schema's columns, in its order and with its types."""
    if dataset.features == FEATURES:
        return dataset
    dataset = dataset.select_columns(list(FEATURES))
    if dataset.features == FEATURES:
        return dataset
    try:
        return dataset.cast(FEATURES)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds no neuron records: {error}") from error


def _condition(layers: Sequence[str] | None, units: Sequence[int] | None) -> list[Any]:
    chosen = (("layer", layers), ("unit", units))
    return [(name, "in", list(values)) for name, values in chosen if values is not None]


def _filter(dataset: Any, layers: Sequence[str] | None, units: Sequence[int] | None) -> Any:
    """Keep some layers and units; a stream has already left out the others."""
    if isinstance(dataset, IterableDataset) or (layers is None and units is None):
        return dataset
    keys = keys_of(dataset)
    present = {key.layer for key in keys}
    for layer in layers or ():
        if layer not in present:
            hint = did_you_mean(layer, present)
            raise InputError(f"no layer {layer!r}{hint} (layers: {', '.join(sorted(present))})")
    kept_layers, kept_units = set(layers or present), None if units is None else set(units)
    rows = [
        row
        for row, key in enumerate(keys)
        if key.layer in kept_layers and (kept_units is None or key.unit in kept_units)
    ]
    if not rows:
        raise InputError(f"no neuron has layer in {sorted(kept_layers)} and unit in {units}")
    return dataset.select(rows)
