"""Dataset folders of small neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from milannotations.folder import write_card, write_records
from tests.milannotations.viewer.records import make_record, write_statistics

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the copies that `datasets` makes out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("datasets")
        patch.setattr("datasets.config.HF_DATASETS_CACHE", str(place))
        yield


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write a dataset folder of the given records."""

    def make(
        records: Sequence[Mapping[str, Any]], name: str = "dataset", statistics: bool = False
    ) -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        write_records(folder / "data" / "train.parquet", records)
        if statistics:
            write_statistics(folder, records)
        write_card(folder, "A dataset", "Made for a test.")
        return folder

    return make


@pytest.fixture
def two_layers(make_folder: MakeFolder) -> Path:
    """Twenty units of conv1, three of layer/4, with statistics and names of images."""
    records = [make_record("conv1", unit, annotations=["red discs"]) for unit in range(20)]
    records += [make_record("layer/4", unit) for unit in (2, 0, 7)]
    folder = make_folder(records, statistics=True)
    lines = [f"{index},cats/{index}.jpg" for index in range(30)]
    (folder / "images.csv").write_text("\n".join(["image_id,name", *lines]), encoding="utf-8")
    return folder
