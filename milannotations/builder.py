"""How ``datasets`` builds our configs: the Parquet shards of the configs installed here.

One builder serves ``milannotations.load`` and, after ``register()``, ``load_dataset``. Whichever
is used, a config is copied once into the memory-mapped Arrow files of the cache of ``datasets``,
and a group not at all: it is assembled from its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets.config
import pyarrow as pa
from datasets import (
    Dataset,
    DatasetDict,
    ReadInstruction,
    concatenate_datasets,
)
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.packaged_modules.parquet import parquet

from milannotations.catalog.releases import GROUPS, RELEASES, TEXT_ONLY, canonical, members
from milannotations.data_home import config_folder
from milannotations.errors import InputError
from milannotations.mapped import open_mapped
from milannotations.record import FEATURES

NAME = "milannotations"
DEMO = "demo"
SPLIT = "train"  # configs of releases have one split; experiments make their own

_DEMO = Path(__file__).parent / "data" / "demo"
_BATCH_BYTES = 64 * 2**20
DEMO_SPLITS = ("train", "validation", "test", "network")


class Milannotations(parquet.Parquet):
    """Builds a config, or a group of configs, of MILANNOTATIONS.

    Raises:
        InputError: If a config is not installed here.
    """

    BUILDER_CONFIGS: ClassVar = [
        parquet.ParquetConfig(name=name, features=FEATURES)
        for name in (DEMO, *RELEASES, *GROUPS, *(f"{name}{TEXT_ONLY}" for name in RELEASES))
    ]
    DEFAULT_CONFIG_NAME = DEMO
    # Rows of a batch at most; `datasets` would cut images into batches of 100.
    DEFAULT_WRITER_BATCH_SIZE = 10_000

    def __init__(
        self,
        cache_dir: str | None = None,
        config_name: str | None = None,
        data_files: Any = None,
        **kwargs: Any,
    ) -> None:
        # Data files that the caller found lie in the working folder and are not ours.
        config_name = config_name or DEMO
        configs = () if config_name == DEMO else members(config_name)
        if config_name == DEMO:
            files = {split: [str(_DEMO / f"{split}.parquet")] for split in DEMO_SPLITS}
        else:
            files = {SPLIT: [shard for member in configs for shard in shards(member)]}
        kwargs["dataset_name"] = NAME
        super().__init__(
            cache_dir=cache_dir,
            config_name=canonical(config_name),
            data_files=_stamped(files),
            **kwargs,
        )
        self._copying = False
        self._members = (
            [Milannotations(cache_dir, member, **kwargs) for member in configs]
            if len(configs) > 1
            else []
        )

    @property
    def is_prepared(self) -> bool:
        """Whether the Arrow files are in the cache."""
        if self._members:
            return all(member.is_prepared for member in self._members)
        return bool(self.info.splits)

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """Copy the shards of all members that are not in the cache into it."""
        for member in self._members:
            member.download_and_prepare(*args, **kwargs)
        if not self._members:
            # One Arrow file: opening costs a few milliseconds for each.
            kwargs.setdefault("max_shard_size", "1TB")
            super().download_and_prepare(*args, **kwargs)

    def _prepare_split(self, *args: Any, **kwargs: Any) -> None:
        self._copying = True
        try:
            super()._prepare_split(*args, **kwargs)
        finally:
            self._copying = False

    def _generate_tables(self, *args: Any, **kwargs: Any) -> Iterator[tuple[Any, pa.Table]]:
        tables = super()._generate_tables(*args, **kwargs)
        return _merged(tables) if self._copying else tables

    def as_dataset(self, split: Any = None, **kwargs: Any) -> Dataset | DatasetDict:
        """Return the memory-mapped records; for a group, those of its members in order."""
        if not self._members:
            return self._opened(split, **kwargs)
        whole = concatenate_datasets(
            [member.as_dataset(SPLIT, **kwargs) for member in self._members]
        )
        if split is None:
            return DatasetDict({SPLIT: whole})
        if not isinstance(split, ReadInstruction):
            split = ReadInstruction.from_spec(str(split))
        try:
            selections = split.to_absolute({SPLIT: len(whole)})
        except ValueError as error:
            raise InputError(f"split {split!r}: {error}; the only split is {SPLIT!r}") from error
        return concatenate_datasets(
            [whole.select(range(selection.from_, selection.to)) for selection in selections]
        )

    def _opened(self, split: Any, **kwargs: Any) -> Dataset | DatasetDict:
        """Open whole splits without reading them; leave all else to the base class."""
        splits = self.info.splits or {}
        wanted = list(splits) if split is None else [str(split)]
        if kwargs.get("in_memory") or not set(wanted) <= set(splits):
            return super().as_dataset(split, **kwargs)
        files = {
            name: sorted(Path(self.cache_dir).glob(f"{NAME}-{name}*.arrow")) for name in wanted
        }
        opened = DatasetDict(
            {
                name: concatenate_datasets(
                    [Dataset(open_mapped(path), self.info.copy(), name) for path in paths]
                )
                for name, paths in files.items()
            }
        )
        return opened if split is None else opened[str(split)]


def _merged(tables: Iterable[tuple[Any, pa.Table]]) -> Iterator[tuple[Any, pa.Table]]:
    """Make fewer, larger batches: opening a file reads one position in it for each batch."""
    waiting: list[tuple[Any, pa.Table]] = []
    for keyed in tables:
        waiting.append(keyed)
        if sum(table.nbytes for _, table in waiting) >= _BATCH_BYTES:
            yield waiting[0][0], pa.concat_tables([table for _, table in waiting])
            waiting = []
    if waiting:
        yield waiting[0][0], pa.concat_tables([table for _, table in waiting])


def _stamped(files: dict[str, list[str]]) -> DataFilesDict:
    """Return files with their modification times, by which the cache sees that they changed."""
    # As DataFilesDict.from_patterns does for local files, without its search for patterns, which
    # takes longer than everything else in opening a config.
    return DataFilesDict(
        {
            split: DataFilesList(paths, [(str(Path(path).stat().st_mtime),) for path in paths])
            for split, paths in files.items()
        }
    )


def shards(config: str) -> list[str]:
    """Return the Parquet files of a config, in order; a missing config is installed first.

    Raises:
        InputError: If it is missing and cannot be downloaded, or ``HF_HUB_OFFLINE`` forbids it.
    """
    folder = config_folder(config)
    if not folder.is_dir():
        if datasets.config.HF_HUB_OFFLINE or config not in RELEASES:
            raise InputError(
                f"config {config!r} is not installed in {folder}; run `milannotations download "
                f"{config}`, or `milannotations import-release FILE --config {config}`"
            )
        from milannotations.download.install import install

        install(config)
    paths = sorted(str(path) for path in (folder / "data").glob("*.parquet"))
    if not paths:
        raise InputError(f"{folder} holds no data/*.parquet; delete it and install {config} again")
    return paths
