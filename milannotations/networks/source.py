"""Reading the network records of whatever ``milannotations.load`` can open."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from milannotations.catalog.releases import is_known, members
from milannotations.data_home import config_folder
from milannotations.hub_access import hub_or_cache
from milannotations.networks.record import (
    NETWORK_FILE,
    NetworkRecord,
    read_record,
    read_records,
)


def records_of_source(name: str, neurons: Dataset, revision: str | None) -> list[NetworkRecord]:
    """Return the network records of a data set.

    Args:
        name: What ``milannotations.load`` was given.
        neurons: The data set that it opened.
        revision: Which revision of a repository.
    """
    if is_known(name):
        folders = [config_folder(config) for config in members(name)]
        return [record for folder in folders for record in read_records(folder)]
    path = Path(name).expanduser()
    if path.exists():
        return [] if path.suffix == ".csv" else read_records(path)
    if "/" not in name:
        return []
    record = _in_repository(name.removeprefix("hf://datasets/"), neurons, revision)
    return [record] if record else []


def _in_repository(repo_id: str, neurons: Dataset, revision: str | None) -> NetworkRecord | None:
    config = neurons.info.config_name
    for file in (f"data/{config}/{NETWORK_FILE}", NETWORK_FILE):
        try:
            with hub_or_cache():
                path = hf_hub_download(repo_id, file, repo_type="dataset", revision=revision)
        except (OSError, ValueError, HfHubHTTPError, HFValidationError):
            continue  # it is not there, or the hub is not
        record = read_record(Path(path))
        if record is not None:
            return record
    return None
