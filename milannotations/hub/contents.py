"""What a dataset folder holds, read from its shards and checked before any of it is uploaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Features
from PIL import Image
from pydantic import ValidationError

from milannotations.catalog.releases import RELEASES, canonical, is_known, members
from milannotations.data_home import config_folder, home
from milannotations.errors import InputError, did_you_mean, wrong_fields
from milannotations.fingerprints import fingerprint_of_files
from milannotations.folder import write_records
from milannotations.hub.card import MAX_TEXT, NAME, Facts
from milannotations.networks.record import public_record, read_records
from milannotations.parquet import OpenParquet, open_parquet
from milannotations.record import FEATURES
from milannotations.record_checks import check_image_headers
from milannotations.release.facts import read_raw_facts

_ROWS = 256
_UNREADABLE = (OSError, ValueError, pa.ArrowException, Image.DecompressionBombError)


@dataclass(frozen=True)
class Contents:
    """A dataset folder that can be uploaded.

    Attributes:
        facts: What the card says about it.
        shards: Its Parquet files, in order.
        network: The record of its network, as ``network.json``; None if it has none.
    """

    facts: Facts
    shards: tuple[Path, ...]
    network: bytes | None = None


def find_folders(names: Sequence[str | Path]) -> list[Path]:
    """Return the dataset folders that names stand for.

    Args:
        names: Each is an installed config, a group of them (``base``), or a dataset folder.

    Raises:
        InputError: If one is none of these, or is named twice.
    """
    if not names:
        raise InputError("name at least one config or folder to push")
    folders = [folder for name in names for folder in _find(name)]
    for folder, count in Counter(folder.resolve() for folder in folders).items():
        if count > 1:
            raise InputError(f"{folder} is named {count} times; name it once")
    return folders


def _find(name: str | Path) -> list[Path]:
    local = Path(name).expanduser()
    if isinstance(name, str) and is_known(name):
        folders = [config_folder(config) for config in members(name)]
        lacking = [folder.name for folder in folders if not folder.is_dir()]
        if not lacking:
            return folders
        hint = f" (for the folder here write ./{local})" if local.is_dir() else ""
        raise InputError(
            f"{', '.join(lacking)} not installed in {home() / 'configs'}: import the release "
            f"first{hint}"
        )
    if isinstance(name, str) and re.fullmatch(NAME, name) and config_folder(name).is_dir():
        return [config_folder(name)]
    if local.is_dir():
        return [local]
    if local.exists():
        raise InputError(f"{local} is a file; name the dataset folder")
    hint = did_you_mean(canonical(str(name)), RELEASES)
    raise InputError(f"{str(name)!r} is neither an installed config nor a dataset folder{hint}")


def read_contents(folder: Path) -> Contents:
    """Read everything in a dataset folder but the pixels; the fingerprint is not checked.

    Args:
        folder: Contains ``data/*.parquet``; its config is named in ``release.json``, or else has
            the folder's name.

    Raises:
        InputError: If a file is missing, cannot be read or lacks a column, and names the file;
            also if the folder holds no records, records of several networks, or a neuron twice.
    """
    shards = tuple(sorted((folder / "data").glob("*.parquet")))
    if not shards:
        raise InputError(f"{folder} is no dataset folder: it has no data/*.parquet")
    release = read_raw_facts(folder)
    config = str(release.get("config") or folder.resolve().name)
    for name, what in ((config, folder), *((shard.name, shard) for shard in shards)):
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{what}: {name!r} cannot be a name on a hub; use letters, digits, '_', '.' and "
                "'-', the first no '.' or '-'"
            )
    counts = _Counts()
    for shard in shards:
        counts.add(shard)
    if not counts.neurons:
        raise InputError(f"{folder} holds no records")
    if len(counts.networks) > 1:
        raise InputError(
            f"{folder} holds the records of {len(counts.networks)} networks "
            f"({sorted(counts.networks)[:3]}); a config holds one"
        )
    model, dataset = next(iter(counts.networks))
    (key, most), *_ = counts.neurons.most_common(1)
    if most > 1:
        raise InputError(f"{folder} holds the neuron {key[0]}:{key[1]} {most} times")
    differences = release.get("differences")
    try:
        facts = Facts(
            config=config,
            model=model,
            dataset=dataset,
            layers=counts.layers,
            neurons=len(counts.neurons),
            annotations=counts.annotations,
            with_images=counts.with_images,
            file_bytes=sum(shard.stat().st_size for shard in shards),
            data_bytes=counts.data_bytes,
            fingerprint=str(release.get("fingerprint") or ""),
            differences=[str(d) for d in differences] if isinstance(differences, list) else [],
            quality=_read_text(folder / "quality.md"),
        )
    except ValidationError as error:
        wrong = wrong_fields(error, "card")
        raise InputError(f"{folder} cannot be described in a card: {wrong}") from error
    record = next(iter(read_records(folder)), None)
    return Contents(facts, shards, public_record(record) if record else None)


def with_fingerprint(contents: Contents, advance: Callable[[], object]) -> Contents:
    """Return the same contents with a fingerprint computed from the shards, decoding all masks.

    Args:
        contents: From ``read_contents``.
        advance: Called once per shard.

    Raises:
        InputError: If a mask cannot be read, or ``release.json`` has another fingerprint.
    """
    current = contents.shards[0]

    def each() -> Iterator[Path]:
        nonlocal current
        for current in contents.shards:
            with open_parquet(current) as file:
                check_image_headers(file)
            yield current
            advance()

    try:
        computed = fingerprint_of_files(each())
    except InputError:
        raise
    except (*_UNREADABLE, TypeError) as error:
        raise InputError(f"{current} holds records that cannot be read: {error}") from error
    recorded = contents.facts.fingerprint
    if recorded and recorded != computed:
        raise InputError(
            f"{contents.shards[0].parents[1]}: its release.json says fingerprint {recorded}, its "
            f"shards have {computed}: they were changed since; import the release again"
        )
    return replace(contents, facts=contents.facts.model_copy(update={"fingerprint": computed}))


def without_images(contents: Contents, folder: Path, advance: Callable[[], object]) -> Contents:
    """Write copies of the shards whose column ``images`` holds empty lists.

    Args:
        contents: What to copy; it is not changed.
        folder: Where the copies are written, under the shards' own names; it is created.
        advance: Called once per shard.
    """
    folder.mkdir(parents=True)
    shards = []
    for shard in contents.shards:
        write_records(folder / shard.name, _imageless(shard))
        shards.append(folder / shard.name)
        advance()
    changes = {
        "with_images": 0,
        "file_bytes": sum(shard.stat().st_size for shard in shards),
        "data_bytes": sum(_data_bytes(shard) for shard in shards),
    }
    return replace(contents, facts=contents.facts.model_copy(update=changes), shards=tuple(shards))


class _Counts:
    """Counts over the shards of a folder, made without reading a single image or mask."""

    def __init__(self) -> None:
        self.networks: set[tuple[str, str]] = set()
        self.neurons: Counter[tuple[str, int]] = Counter()
        self.layers: Counter[str] = Counter()
        self.annotations = 0
        self.with_images = 0
        self.data_bytes = 0

    def add(self, shard: Path) -> None:
        try:
            self._add(shard)
        except InputError:
            raise
        except _UNREADABLE as error:
            raise InputError(f"{shard} is no Parquet file that can be read: {error}") from error

    def _add(self, shard: Path) -> None:
        with open_parquet(shard) as file:
            _check_columns(shard, file.schema)
            self.data_bytes += _group_bytes(file)
            # A list's length is stored with each of its leaves, so the images' paths, which are
            # empty, show how many images there are.
            lengths = [leaf for leaf in file.leaves if re.fullmatch(r"images\..*\.path", leaf)]
            columns = ["model", "dataset", "layer", "unit", "annotations", *lengths]
            for batch in file.batches(columns, _ROWS):
                plain = [batch[name].to_pylist() for name in columns[:4]]
                if any(None in values for values in plain):
                    raise InputError(f"{shard} has rows without model, dataset, layer or unit")
                models, datasets, layers, units = plain
                self.networks |= set(zip(models, datasets, strict=True))
                self.neurons.update(zip(layers, units, strict=True))
                self.layers.update(layers)
                self.annotations += pc.sum(pc.list_value_length(batch["annotations"])).as_py() or 0
                images = pc.greater(pc.list_value_length(batch["images"]), 0)
                self.with_images += pc.sum(images).as_py() or 0


def _check_columns(shard: Path, schema: pa.Schema) -> None:
    # Without the metadata, so that only what is stored counts, not what a writer says about it.
    features = Features.from_arrow_schema(schema.remove_metadata())
    expected = Features.from_arrow_schema(FEATURES.arrow_schema.remove_metadata())
    wrong = [name for name in expected if name in features and features[name] != expected[name]]
    lacking = [name for name in expected if name not in features]
    more = [name for name in features if name not in expected]
    for what, names in (("lacks", lacking), ("has other types in", wrong), ("also has", more)):
        if names:
            raise InputError(
                f"{shard} {what} the columns {names}; records have exactly {list(FEATURES)}"
            )


def _imageless(shard: Path) -> Iterator[dict[str, Any]]:
    columns = [name for name in FEATURES if name != "images"]
    with open_parquet(shard) as file:
        for batch in file.batches(columns, _ROWS):
            for record in batch.to_pylist():
                yield {**record, "images": [], "masks": [m["bytes"] for m in record["masks"] or []]}


def _data_bytes(shard: Path) -> int:
    with open_parquet(shard) as file:
        return _group_bytes(file)


def _group_bytes(file: OpenParquet) -> int:
    return sum(
        file.metadata.row_group(number).total_byte_size
        for number in range(file.metadata.num_row_groups)
    )


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    if path.stat().st_size > MAX_TEXT:
        raise InputError(f"{path} has {path.stat().st_size} bytes; at most {MAX_TEXT} are read")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
