"""The record of the network that neurons were built from, and how it stays with them.

``build`` writes it into ``build.json``; ``milannotations.load`` reads it and puts it into the
``info`` of the Arrow dataset, which ``select``, ``map``, ``concatenate_datasets`` and
``save_to_disk`` of ``datasets`` all keep.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milannotations.errors import InputError
from milannotations.json_files import parse_json, read_json
from milannotations.notices import notify
from milannotations.reading import is_there

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn

    from milannotations.hook_points.layout import Layout

BUILD_FILE = "build.json"
# In repositories of a hub, beside a config's shards.
NETWORK_FILE = "network.json"
_LINE = "milannotations-network: "
_MOST_BYTES = 256 * 2**20  # build.json names every unreadable image


@dataclass(frozen=True)
class NetworkRecord:
    """The network that some neurons were built from.

    Attributes:
        model: Name of the architecture in the neurons' keys; empty in folders written before the
            record had names, which hold the neurons of one network.
        dataset: Name of its training data in the keys; may be empty likewise.
        weights_sha256: ``hash_of_weights`` of the network, then ``+`` and the hash of each of its
            autoencoders, in the order of ``autoencoders``.
        spec: The name that ``load_model`` loaded it by; None for a module built in Python.
        weights: ``published``, ``random``, or the absolute path of a file.
        near: The same path relative to the dataset's folder; empty if it is not a file.
        preprocessing: How images became its inputs; None for generators.
        layouts: Layouts that were given, by layer pattern.
        autoencoders: Absolute path of each autoencoder, by layer; empty if unknown.
        in_place: ``before`` or ``after``: when outputs that are changed in place were read; empty
            if not recorded.
        folder: Where the dataset was loaded from; empty if it is not a folder.
    """

    model: str
    dataset: str
    weights_sha256: str
    spec: str | None = None
    weights: str = "published"
    near: str = ""
    preprocessing: Mapping[str, Any] | None = None
    layouts: Mapping[str, Any] = field(default_factory=dict)
    autoencoders: Mapping[str, str] = field(default_factory=dict)
    in_place: str = ""
    folder: str = ""

    @property
    def network_sha256(self) -> str:
        """The hash of the network alone."""
        return self.weights_sha256.partition("+")[0]

    @property
    def autoencoder_sha256(self) -> list[str]:
        """The hashes of the autoencoders, in their order."""
        return self.weights_sha256.split("+")[1:]

    def matches(self, model: str, dataset: str) -> bool:
        """Return whether neurons with these names in their keys belong to this network."""
        return self.model in ("", model) and self.dataset in ("", dataset)

    def weights_files(self) -> list[Path]:
        """Return the possible paths of the weights, likeliest first; none if they are no file."""
        if self.weights in ("", "published", "random"):
            return []
        places = [Path(self.weights)]
        if self.near and self.folder:
            places.append(Path(self.folder, self.near))
        return places  # each may end in #PART, as load_model takes it

    @classmethod
    def from_json(cls, plain: Any, folder: str = "") -> NetworkRecord | None:
        """Return the record in a parsed JSON object; None if there is none in it."""
        if not isinstance(plain, Mapping) or not isinstance(plain.get("weights_sha256"), str):
            return None
        values: dict[str, Any] = {"folder": folder}
        for name in (attribute.name for attribute in fields(cls)):
            value = plain.get(name)
            if name in ("preprocessing", "layouts", "autoencoders"):
                if isinstance(value, Mapping):
                    values[name] = dict(value)
            elif isinstance(value, str):
                values[name] = value
        return cls(**{"model": "", "dataset": "", **values})


def network_facts(
    module: nn.Module,
    layouts: Mapping[str, Layout] | None = None,
    autoencoders: Mapping[str, nn.Module] | None = None,
) -> dict[str, Any]:
    """Return how a network was loaded, as JSON, for its record.

    Args:
        module: The network; one that ``load_model`` gave is known by its name and weights.
        layouts: Layouts that were given, by layer pattern.
        autoencoders: Autoencoders, by layer; those of ``load_autoencoder`` are known by their path.
    """
    from milannotations.catalog.models import origin_of  # loading records needs no torch

    origin = origin_of(module)
    return {
        "spec": origin.spec if origin else None,
        "weights": origin.weights if origin else "",
        "layouts": {pattern: asdict(layout) for pattern, layout in (layouts or {}).items()},
        "autoencoders": {
            layer: str(getattr(encoder, "origin", ""))
            for layer, encoder in (autoencoders or {}).items()
        },
    }


def relative_weights(weights: str, folder: Path) -> str:
    """Return the path of a weights file relative to a dataset's folder; empty if it is no file."""
    if not Path(weights).is_absolute():
        return ""
    try:
        return os.path.relpath(weights, folder)
    except ValueError:  # another drive
        return ""


def read_records(path: Path) -> list[NetworkRecord]:
    """Return the records of the networks of a dataset: a folder, or a Parquet file in one."""
    folders = [path] if path.is_dir() else [path.parent, path.parent.parent]
    for folder in folders:
        for name in (BUILD_FILE, NETWORK_FILE):
            record = read_record(folder / name)
            if record is not None:
                return [record]
    return []


def read_record(file: Path) -> NetworkRecord | None:
    """Return the record in a ``build.json`` or ``network.json``; None if there is none."""
    try:
        if not is_there(file):
            return None
        plain = read_json(file, dict, limit=_MOST_BYTES)
    except InputError as error:
        notify(f"{error}; what it says of the network is left out")
        return None
    folder = str(file.parent.resolve())
    if "network" in plain or file.name == NETWORK_FILE:
        return NetworkRecord.from_json(plain.get("network", plain), folder)
    # Folders from before there were records have the name and the weights as they were typed.
    images, options = plain.get("images_of"), plain.get("options")
    in_place = options.get("in_place") if isinstance(options, Mapping) else None
    return NetworkRecord.from_json(
        {
            "spec": plain.get("model"),
            "weights": _absolute(plain.get("weights")),
            "weights_sha256": plain.get("weights_sha256"),
            "preprocessing": images.get("preprocessing") if isinstance(images, Mapping) else None,
            "in_place": in_place or "before",
        },
        folder,
    )


def public_record(record: NetworkRecord) -> bytes:
    """Return a record for publication: with file names, but without folders of this machine."""
    spec = record.spec
    if spec is not None and Path(spec.removeprefix("hf:")).is_absolute():
        spec = f"hf:{Path(spec).name}"
    public = replace(
        record,
        spec=spec,
        weights=Path(record.weights).name,
        near="",
        autoencoders={layer: Path(path).name for layer, path in record.autoencoders.items()},
        folder="",
    )
    return (json.dumps(asdict(public), indent=1) + "\n").encode()


def _absolute(weights: Any) -> Any:
    if not isinstance(weights, str) or weights in ("published", "random"):
        return weights
    return str(Path(weights).expanduser().absolute())


def attach_records(neurons: Dataset, records: Iterable[NetworkRecord]) -> None:
    """Put records into a dataset's info, where operations of ``datasets`` keep them."""
    lines = (neurons.info.description or "").split("\n\n")
    for record in records:
        line = _LINE + json.dumps(asdict(record), sort_keys=True)
        if line not in lines:
            lines.append(line)
    neurons.info.description = "\n\n".join(line for line in lines if line)


def records_in(neurons: Dataset) -> list[NetworkRecord]:
    """Return all records that a dataset carries."""
    records = []
    for line in (neurons.info.description or "").split("\n\n"):
        if line.startswith(_LINE):
            try:
                plain = parse_json(line.removeprefix(_LINE), "the record of a network", dict)
            except InputError as error:
                notify(f"{error}; it is left out")
                continue
            record = NetworkRecord.from_json(plain, str(plain.get("folder") or ""))
            if record is not None:
                records.append(record)
    return records


def record_of(neurons: Dataset, model: str, dataset: str) -> NetworkRecord | None:
    """Return the record of the network that neurons with these names belong to; None if unknown.

    Raises:
        InputError: If there are several that differ in the hash of their weights.
    """
    matching = [record for record in records_in(neurons) if record.matches(model, dataset)]
    named = [record for record in matching if record.model]
    candidates = named or matching
    hashes = sorted({record.weights_sha256 for record in candidates})
    if len(hashes) > 1:
        raise InputError(
            f"the neurons of {model}/{dataset} come from networks with different weights (hashes "
            f"{' and '.join(hashes[:3])}); describe each dataset by itself"
        )
    return candidates[0] if candidates else None
