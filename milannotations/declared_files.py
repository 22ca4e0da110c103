"""Checks that a data set's own files place its data below its folder, and nowhere else.

``datasets`` trusts a card: data files may be ``http://…``, which it requests even when told to be
offline, or ``../…``. It also trusts an image that is given as a file's path or as a URL. A folder
may come from anybody, so all of this is checked before ``datasets`` sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow.compute as pc
import yaml
from datasets import Dataset, Image, IterableDataset, List
from huggingface_hub import DatasetCard, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from milannotations.errors import InputError
from milannotations.file_names import shown

CARD = "README.md"
_CARDS = (CARD, ".huggingface.yaml")  # the files that ``datasets`` reads
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986, section 3.1; matches a drive, too
_LONGEST_CARD = 4 * 2**20  # bytes
_PICTURES = ("images", "masks")
_REMEDY = "remove it, or bring the data into the folder"


def check_folder_files(folder: Path) -> None:
    """Refuse a data-set folder whose card or state names data outside the folder.

    Raises:
        InputError: If it does; names the file, the line and the value.
    """
    for name in _CARDS:
        path = folder / name
        if path.is_file():
            if path.stat().st_size > _LONGEST_CARD:
                raise InputError(f"{shown(path)} has more than {_LONGEST_CARD:,} bytes")
            text = path.read_text(encoding="utf-8", errors="replace")
            check_card(text, shown(path), is_yaml=name != CARD)
    _check_saved(folder)


def check_card(text: str, where: str, is_yaml: bool = False) -> None:
    """Refuse a card that names data files or folders outside its own folder.

    Args:
        text: The card, or YAML alone.
        where: What to call it in messages.
        is_yaml: Whether the whole text is YAML.

    Raises:
        InputError: If it does, or cannot be read; names the line and the value.
    """
    try:
        if is_yaml:
            card = yaml.safe_load(text)
        else:  # by the code that `datasets` uses
            card = DatasetCard(text, ignore_metadata_errors=False).data.to_dict()
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{where}: its YAML cannot be read; mend or remove it") from error
    for value in _declared(card):
        if _leads_out(value):
            written = (value, json.dumps(value)[1:-1])  # quoted, a backslash is written twice
            lines = enumerate(text.splitlines(), 1)
            line = next(
                (n for n, line in lines if any(reference in line for reference in written)), None
            )
            raise InputError(
                f"{where}{f', line {line}' if line else ''}: the data files {value!r} do not lie "
                f"below this folder, and are not read; {_REMEDY}"
            )


def check_repository_card(repo_id: str, revision: str | None) -> None:
    """Check the card of a repository on the hub in the same way, if it can be obtained.

    Raises:
        InputError: As in ``check_card``.
        HfHubHTTPError: If the repository or the revision does not exist.
    """
    try:
        path = hf_hub_download(repo_id, CARD, repo_type="dataset", revision=revision)
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return  # it has no card; or the hub is unreachable, and `datasets` uses its cache
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    check_card(text, f"{CARD} of {repo_id}")


def check_resolved(folder: Path, paths: Iterable[str]) -> None:
    """Refuse files found by ``datasets`` that do not lie below a folder.

    Raises:
        InputError: If there are any; names the first.
    """
    root = folder.resolve()
    for path in paths:
        # Links are not resolved: those in the folder are its owner's own, as in a hub cache.
        data_file = Path(path)
        if "://" in path or not (
            data_file.is_relative_to(root) or data_file.is_relative_to(folder)
        ):
            raise InputError(
                f"{shown(folder)}: the data file {path!r} does not lie below it, and is not read; "
                f"{_REMEDY}"
            )


def check_pictures(split: Dataset, name: str) -> None:
    """Refuse records whose images or masks are file paths or URLs.

    Raises:
        InputError: If there are any; names the first.
    """
    for column in _PICTURES:
        if column not in split.column_names:
            continue
        for chunk in split.data.column(column).chunks:
            cells = chunk.flatten()
            held = pc.struct_field(cells, "bytes")
            if held.null_count:
                paths = pc.struct_field(cells.filter(pc.is_null(held)), "path")
                raise InputError(_elsewhere(name, column, paths[0].as_py()))


def checked_stream(stream: IterableDataset, name: str) -> IterableDataset:
    """Return a stream that refuses such records as it reaches them."""
    features = stream.features
    columns = [column for column in _PICTURES if features and column in features]
    if not columns:
        return stream

    def check(record: dict[str, Any]) -> dict[str, Any]:
        for column in columns:
            for cell in record[column] or ():
                if cell is not None and cell["bytes"] is None:
                    raise InputError(_elsewhere(name, column, cell["path"]))
        return record

    encoded = stream
    for column in columns:
        encoded = encoded.cast_column(column, List(Image(decode=False)))
    # Not `map(…, features=…)`: `datasets` assumes that its output is already decoded.
    return encoded.map(check).cast(features)


def _elsewhere(name: str, column: str, path: str | None) -> str:
    what = f"the file {path!r}, which is not read" if path else "nothing"
    return (
        f"{name}: in column {column!r} a picture is {what}; pictures of records are stored as "
        "bytes: write the data set anew with them"
    )


def _declared(card: object) -> Iterator[str]:
    """Yield everything that a card says about where data lie."""
    configs = card.get("configs") if isinstance(card, Mapping) else None
    for config in configs if isinstance(configs, list) else ():
        if isinstance(config, Mapping):
            for name in ("data_files", "data_dir"):
                yield from _texts(config.get(name))


def _texts(value: object) -> Iterator[str]:
    pending, seen = [value], set[int]()
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, (Mapping, list)) and id(item) not in seen:
            seen.add(id(item))  # YAML aliases can repeat a list a billion times
            pending += item.values() if isinstance(item, Mapping) else item


def _leads_out(value: str) -> bool:
    """Say whether a pattern is a URL, an absolute path, or a path through a parent folder."""
    windows = PureWindowsPath(value)
    return (
        _SCHEME.match(value) is not None
        or "::" in value
        or value.startswith("~")
        or PurePosixPath(value).is_absolute()
        or bool(windows.root or windows.drive)
        or ".." in windows.parts  # with either kind of slash
    )


def _check_saved(folder: Path) -> None:
    """Check what ``save_to_disk`` has written, for one split or for several."""
    splits = _json(folder / "dataset_dict.json").get("splits")
    names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
    for name in names:
        _refuse_unless_plain(folder / "dataset_dict.json", name)
    for saved in [folder, *(folder / name for name in names)]:
        files = _json(saved / "state.json").get("_data_files")
        for file in files if isinstance(files, list) else ():
            saved_as = file.get("filename") if isinstance(file, Mapping) else None
            if isinstance(saved_as, str):
                _refuse_unless_plain(saved / "state.json", saved_as)


def _refuse_unless_plain(path: Path, name: str) -> None:
    if _leads_out(name):
        raise InputError(
            f"{shown(path)}: {name!r} does not lie below this folder, and is not read; {_REMEDY}"
        )


def _json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; anything else is left for ``datasets`` to refuse."""
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST_CARD:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, Mapping) else {}
