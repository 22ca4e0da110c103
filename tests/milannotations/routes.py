"""Loads every installed config by every route and compares; run as a program by ``test_routes``.

It is a program because ``datasets`` must be of another version in another process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import milannotations
from milannotations.catalog.releases import GROUPS, RELEASES
from milannotations.data_home import config_folder
from milannotations.fingerprints import fingerprint
from milannotations.record import FEATURES
from milannotations.release.facts import read_facts


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded record as plain values that compare."""
    return {
        **record,
        "images": [np.asarray(image).tolist() for image in record["images"]],
        "masks": [np.asarray(mask).tolist() for mask in record["masks"]],
    }


def check(config: str) -> None:
    """Compare all routes to one config."""
    loaded = milannotations.load(config)
    assert isinstance(loaded, datasets.Dataset)
    assert loaded.features == FEATURES
    facts = read_facts(config_folder(config))
    assert facts is not None
    assert facts.differences == []
    assert len(loaded) == RELEASES[config].units == facts.neurons
    assert fingerprint(loaded) == facts.fingerprint
    rows = sorted({0, 1, len(loaded) // 2, len(loaded) - 1})
    expected = [plain(loaded[row]) for row in rows]
    assert bool(expected[0]["images"]) == RELEASES[config].has_images
    others = {
        "slash": milannotations.load(config.replace("-", "/", 1)),
        "folder": milannotations.load(config_folder(config)),
        "folder through load_dataset": datasets.load_dataset(
            str(config_folder(config)), split="train"
        ),
        "registered": datasets.load_dataset("milannotations", config, split="train"),
    }
    for route, other in others.items():
        assert len(other) == len(loaded), route
        assert [plain(other[row]) for row in rows] == expected, route
    streams = {
        "stream": milannotations.load(config, streaming=True),
        "folder stream": milannotations.load(config_folder(config), streaming=True),
        "registered stream": datasets.load_dataset(
            "milannotations", config, split="train", streaming=True
        ),
    }
    for route, stream in streams.items():
        assert isinstance(stream, datasets.IterableDataset), route
        assert [plain(record) for record in stream.take(2)] == expected[:2], route
    layer = facts.layers and sorted(facts.layers)[-1]
    some = milannotations.load(config, layers=layer, units=[3, 5])
    assert [(r["layer"], r["unit"]) for r in some] == [(layer, 3), (layer, 5)]
    streamed = milannotations.load(config, layers=[layer], units=[3, 5], streaming=True)
    assert [plain(record) for record in streamed] == [plain(record) for record in some]
    found = milannotations.lookup(loaded, str(layer), 3)
    assert plain(found) == plain(some[0])
    if RELEASES[config].has_images:
        record = loaded.with_format("torch")[rows[-1]]
        k, side = len(expected[-1]["masks"]), len(expected[-1]["masks"][0])
        assert record["images"].shape == (k, 3, side, side)
        assert str(record["images"].dtype) == "torch.uint8"
        assert record["masks"].shape == (k, 1, side, side)
        assert str(record["masks"].dtype) == "torch.bool"
        example = milannotations.ExemplarDataset(loaded)[rows[-1]]
        assert example.images.shape == (k, 3, side, side)
        assert float(example.images.max()) <= 1
        assert (example.layer, example.unit) == (expected[-1]["layer"], expected[-1]["unit"])
        assert list(example.annotations) == expected[-1]["annotations"][:3]


def failure(path: str, name: str | None) -> str:
    """Return the message with which ``load_dataset`` fails."""
    try:
        datasets.load_dataset(path, name)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    raise AssertionError(f"load_dataset({path!r}, {name!r}) should fail")


def main() -> None:
    """Check all configs and groups and say so."""
    datasets.disable_progress_bars()
    os.chdir(tempfile.mkdtemp())  # an empty folder: nothing here may be taken for data
    milannotations.register()
    importlib.import_module("torchvision")  # some versions of `datasets` behave otherwise then
    for config in RELEASES:
        check(config)
    for group, members in GROUPS.items():
        units = sum(RELEASES[member].units for member in members)
        whole = milannotations.load(group)
        assert len(whole) == units, group
        registered = datasets.load_dataset("milannotations", group)["train"]
        assert len(registered) == units, group
        assert (whole[0]["model"], whole[0]["dataset"]) == tuple(members[0].split("-"))
        assert (whole[-1]["model"], whole[-1]["dataset"]) == tuple(members[-1].split("-"))
    part = datasets.load_dataset("milannotations", "gen", split="train[:25%]+train[-2:]")
    assert len(part) == round(8736 / 4) + 2
    count = sum(1 for _ in milannotations.load("alexnet", streaming=True))
    assert count == 1152 + 1376
    assert len(datasets.load_dataset("milannotations")["test"]) == 85  # the demo configuration
    assert "did you mean 'alexnet-imagenet'" in failure("milannotations", "alexnet-imagenett")
    # Others are treated as before: an empty folder has no data files for "csv".
    assert "data files" in failure("csv", None)
    root = Path(milannotations.__file__).parent
    assert len(datasets.load_dataset(str(root))["test"]) == 85
    print(json.dumps({"datasets": datasets.__version__, "configs": len(RELEASES)}))


if __name__ == "__main__":
    sys.exit(main())
