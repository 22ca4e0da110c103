"""A data set's own files name nothing that is fetched, and nothing outside of its folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import DatasetDict

from milannotations.attach.sources import HubSource
from milannotations.declared_files import check_card
from milannotations.errors import InputError
from milannotations.loading import load
from milannotations.record import FEATURES
from milannotations.viewer.config import ViewConfig
from milannotations.viewer.pages import write_pages
from tests.leaderboard.conftest import make_neurons


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", asked
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound folder of records, and a file beside it that is nobody's business."""
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    target_path = tmp_path / "some" / "records"
    (target_path / "data").mkdir(parents=True)
    make_neurons(k=1).to_parquet(target_path / "data" / "a.parquet")
    make_neurons(k=1, model="secret").to_parquet(tmp_path / "some" / "secret.parquet")
    return target_path


def _card(folder: Path, files: object, name: str = "README.md", **config: object) -> None:
    configs = [{"config_name": "default", "data_files": files, **config}]
    lines = f"license: mit\nconfigs: {json.dumps(configs)}\n"
    text = lines if name.endswith("yaml") else f"---\n{lines}---\n\n# Records\n"
    (folder / name).write_text(text)


OUTSIDE = [
    "SERVER/a.parquet",
    [{"split": "train", "path": ["data/*.parquet", "SERVER/a.parquet"]}],
    "zip://a.parquet::SERVER/a.zip",
    "hf://datasets/no/such/a.parquet",
    "s3://bucket/a.parquet",
    "file:///etc/hostname",
    "../secret.parquet",
    "data/../../secret.parquet",
    "..\\secret.parquet",
    "FOLDER/../secret.parquet",
    "~/a.parquet",
]


@pytest.mark.parametrize("files", OUTSIDE)
@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_cards_that_lead_out_are_refused_unasked(
    files: Any, name: str, folder: Path, server: tuple[str, list[str]]
) -> None:
    address, asked = server
    text = json.dumps(files).replace("SERVER", address).replace("FOLDER", str(folder))
    _card(folder, json.loads(text), name)
    line = 3 if name == "README.md" else 2
    for read in (
        lambda: load(str(folder), "train"),
        lambda: load(folder, "train", streaming=True),
        lambda: write_pages(ViewConfig(dataset=str(folder), out=folder.parent / "pages")),
        lambda: HubSource(str(folder), "train"),
    ):
        with pytest.raises(InputError, match=f"{name}, line {line}: .* below this folder") as error:
            read()
        assert "bring the data into the folder" in str(error.value)
    assert asked == []


def test_data_dir_and_further_configs(folder: Path) -> None:
    _card(folder, "*.parquet", data_dir="../")
    with pytest.raises(InputError, match=r"'\.\./' do not lie below this folder"):
        load(str(folder))
    sound = {"config_name": "default", "data_files": "data/*.parquet"}
    other = {"config_name": "other", "data_files": "http://127.0.0.1:9/a.parquet"}
    text = f"---\nconfigs: {json.dumps([sound, other])}\n---\n"
    (folder / "README.md").write_text(text)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):  # the first is not read beside it
        load(str(folder), config="default")


@pytest.mark.parametrize("files", ["data/*.parquet", [{"split": "train", "path": "data/*"}]])
def test_sound_cards_are_read(files: Any, folder: Path) -> None:
    _card(folder, files)
    assert len(load(str(folder), "train")) == 8
    assert sum(1 for _ in load(str(folder), "train", streaming=True)) == 8


def test_links_of_the_owner_are_followed(folder: Path) -> None:
    (folder / "data" / "b.parquet").symlink_to(folder.parent / "secret.parquet")
    _card(folder, "data/*.parquet")
    assert {row["model"] for row in load(str(folder), "train")} == {"net", "secret"}


def test_yaml_that_grows_or_cannot_be_read() -> None:
    names = [f"a{number}" for number in range(40)]
    bomb = "list0: &a0 [x, x]\n" + "".join(
        f"list{number}: &{new} [*{old}, *{old}]\n"
        for number, (old, new) in enumerate(pairwise(names), 1)
    )
    check_card(f"---\n{bomb}configs:\n- data_files: *{names[-1]}\n---\n", "card")
    for text in ("---\na: [\n---\n", "---\n- a\n---\n"):
        with pytest.raises(InputError, match="card: its YAML cannot be read"):
            check_card(text, "card")
    check_card("no YAML at all", "card")


def test_what_save_to_disk_wrote(folder: Path) -> None:
    saved = folder.parent / "saved"
    neurons = make_neurons(k=1)
    neurons.save_to_disk(saved)
    assert len(load(str(saved))) == 8
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"] = [{"filename": "../records/x.arrow"}]
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match=r"state\.json: '\.\./records/x\.arrow'"):
        load(str(saved))
    several = folder.parent / "several"
    DatasetDict({"train": neurons, "test": neurons}).save_to_disk(several)
    (several / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "../saved"]}))
    with pytest.raises(InputError, match=r"dataset_dict\.json: '\.\./saved'"):
        load(str(several))


@pytest.mark.parametrize("column", ["images", "masks"])
@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_pictures_that_are_addresses_or_paths(
    column: str, ending: str, folder: Path, server: tuple[str, list[str]]
) -> None:
    address, asked = server
    rows = make_neurons(k=1).to_list()
    for target_path in (f"{address}/x.png", str(folder / "x.png")):
        target = folder.parent / "pictures"
        target.mkdir(exist_ok=True)
        plain = [{**row, column: [{"bytes": None, "path": target_path}]} for row in rows[:2]]
        if ending == "parquet":
            table = pa.Table.from_pylist(plain, schema=FEATURES.arrow_schema)
            pq.write_table(table, target / "a.parquet")
        else:
            texts = [{**row, "images": [target_path], "masks": [target_path]} for row in plain]
            (target / "a.json").write_text("\n".join(map(json.dumps, texts)))
        with pytest.raises(InputError, match=r"which is not (read|opened)"):
            load(str(target))
        if ending == "parquet":
            with pytest.raises(InputError, match=r"which is not (read|opened)"):
                list(load(str(target), streaming=True))
            with pytest.raises(InputError, match=r"which is not (read|opened)"):
                load(str(target / "a.parquet"))
    assert asked == []


def test_scripts_are_not_run(folder: Path) -> None:
    for name in ("records.py", "dataset.py"):
        (folder / name).write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        load(str(folder))
