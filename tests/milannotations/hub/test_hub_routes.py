"""Push through the real client to a hub on this machine, and load from it by every route."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from milannotations.hub.card import read_metadata
from milannotations.record import encoded_records
from tests.milannotations.hub.fake_hub import TOKEN, FakeHub, running_hub

REPO = "user/neurons"
CONFIG = "alexnet-imagenet"
# Each test starts processes that import datasets, and some torch.
pytestmark = pytest.mark.slow
PICTURES = ("images", "masks")

# Prints JSON: for each pair of route and config the records, pictures' bytes in hexadecimal.
LOAD = """
import json, sys
from datasets import Image, List, load_dataset
import milannotations
routes = {
    "datasets": lambda repo, config: load_dataset(repo, config, split="train"),
    "stream": lambda repo, config: load_dataset(repo, config, split="train", streaming=True),
    "ours": lambda repo, config: milannotations.load(repo, config=config),
}
found = []
for route, config in json.loads(sys.argv[2]):
    neurons = routes[route](sys.argv[1], config)
    for column in ("images", "masks"):
        neurons = neurons.cast_column(column, List(Image(decode=False)))
    found.append(rows := list(neurons))
    for row in rows:
        for column in ("images", "masks"):
            row[column] = [picture["bytes"].hex() for picture in row[column]]
print(json.dumps(found))
"""
# As the command line calls it: a mistake of the user's ends with one line and status 2.
PUSH = """
import sys
from milannotations.errors import InputError
from milannotations.hub.commands import app
try:
    app(["--repo", *sys.argv[1:]])
except InputError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""
RECORD = """
import sys, milannotations
from milannotations.networks.record import record_of
neurons = milannotations.load(sys.argv[1], config=sys.argv[2])
record = record_of(neurons, "alexnet", "imagenet")
print(record.spec, record.weights_sha256)
"""
Records = list[dict[str, Any]]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub() as running:
        yield running


@pytest.fixture
def run(hub: FakeHub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a process of its own: the client reads its settings when imported."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MILANNOTATIONS_HOME": str(tmp_path / "home"),
        "NO_PROXY": "127.0.0.1",
    }

    def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            cwd=tmp_path,  # where no folder has the repository's name
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return python


@pytest.fixture
def load(run: Callable[..., Any]) -> Callable[..., list[Records]]:
    def records(*routes: tuple[str, str]) -> list[Records]:
        done = run(LOAD, REPO, json.dumps(routes))
        assert done.returncode == 0, done.stderr
        found: list[Records] = json.loads(done.stdout.splitlines()[-1])
        return found

    return records


def written(folder: Path, cache: Path) -> Records:
    """Return a folder's records as the other process prints them."""
    neurons = load_dataset(str(folder), split="train", cache_dir=str(cache))
    return [
        {
            name: [picture["bytes"].hex() for picture in value] if name in PICTURES else value
            for name, value in record.items()
        }
        for record in encoded_records(neurons)
    ]


def test_every_route_gives_what_was_pushed(
    hub: FakeHub, run: Any, load: Any, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    place = tmp_path / "home" / "configs"
    alexnet = make_folder(CONFIG, images=False, release={"config": CONFIG}, place=place)
    biggan = make_folder("biggan-places365", seed=1)

    done = run(PUSH, REPO, "alexnet/imagenet", str(biggan))

    assert done.returncode == 0, done.stderr
    assert "/commit/" in done.stdout
    repo = hub.repos[REPO]
    assert repo.private
    assert len(repo.commits) == 2  # the hub's own first one, and one for everything
    shard = "data/alexnet-imagenet/000-conv1-00000.parquet"
    assert repo.files[shard] == (alexnet / "data" / Path(shard).name).read_bytes()
    expected = written(alexnet, tmp_path / "cache")
    assert len(expected) == 4
    plain, streamed, with_images = load(
        ("datasets", CONFIG), ("stream", CONFIG), ("datasets", biggan.name)
    )
    assert plain == expected
    assert streamed == expected
    assert with_images == written(biggan, tmp_path / "cache")
    assert len(with_images[0]["images"]) == 3


def test_our_own_load_reads_the_repository(
    run: Any, load: Any, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(CONFIG, images=False)
    network = {"model": "alexnet", "dataset": "imagenet", "weights_sha256": "ab", "spec": "alexnet"}
    (folder / "build.json").write_text(json.dumps({"network": network}))
    assert run(PUSH, REPO, str(folder)).returncode == 0
    assert load(("ours", CONFIG)) == [written(folder, tmp_path / "cache")]
    done = run(RECORD, REPO, CONFIG)
    assert done.stdout.split() == ["alexnet", "ab"], done.stderr


def test_second_push_replaces_stale_shards_and_keeps_the_other_config(
    hub: FakeHub, run: Any, load: Any, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    first = make_folder(CONFIG, images=False, place=tmp_path / "first")
    other = make_folder("biggan-places365", seed=1)
    assert run(PUSH, REPO, str(first), str(other)).returncode == 0
    kept = {path: data for path, data in hub.repos[REPO].files.items() if "biggan" in path}
    second = make_folder(CONFIG, ("conv5",), images=False, seed=2, place=tmp_path / "second")

    done = run(PUSH, REPO, str(second))

    assert done.returncode == 0, done.stderr
    files = hub.repos[REPO].files
    assert [path for path in files if "alexnet" in path and path.endswith(".parquet")] == [
        "data/alexnet-imagenet/000-conv5-00000.parquet"
    ]
    assert {path: data for path, data in files.items() if "biggan" in path} == kept
    metadata = read_metadata(files["README.md"].decode())
    assert {config["config_name"] for config in metadata["configs"]} == {CONFIG, other.name}
    assert "| `biggan-places365` | `biggan` | `places365` |" in files["README.md"].decode()
    assert load(("datasets", CONFIG), ("datasets", other.name)) == [
        written(folder, tmp_path / "cache") for folder in (second, other)
    ]


def test_images_left_out_never_reach_the_hub(
    hub: FakeHub, run: Any, load: Any, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(CONFIG)
    refused = run(PUSH, REPO, str(folder))
    assert refused.returncode == 2
    assert "--without-images" in refused.stderr
    assert hub.requests == []

    assert run(PUSH, REPO, str(folder), "--without-images").returncode == 0

    expected = [{**record, "images": []} for record in written(folder, tmp_path / "cache")]
    assert load(("datasets", CONFIG)) == [expected]
    assert not any(b"IHDR\0\0\0 \0\0\0 \x08\x02" in data for data in hub.repos[REPO].files.values())


def test_new_branch_leaves_main_alone(
    hub: FakeHub, run: Any, make_folder: Callable[..., Path]
) -> None:
    assert run(PUSH, REPO, str(make_folder("a-b"))).returncode == 0
    main = hub.repos[REPO].branches["main"]
    assert run(PUSH, REPO, str(make_folder("c-d")), "--revision", "v2").returncode == 0
    repo = hub.repos[REPO]
    assert repo.branches["main"] == main
    on_branch = repo.commits[repo.branches["v2"]]
    assert {path.split("/")[1] for path in on_branch if path.startswith("data/")} == {"a-b", "c-d"}


def test_dry_run_reads_the_repository_and_changes_nothing(
    hub: FakeHub, run: Any, make_folder: Callable[..., Path]
) -> None:
    assert run(PUSH, REPO, str(make_folder("a-b"))).returncode == 0
    before, seen = dict(hub.repos[REPO].branches), len(hub.requests)
    done = run(PUSH, REPO, str(make_folder("c-d")), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "kept as they are: a-b" in done.stdout
    assert "data/c-d/000-conv1-00000.parquet" in done.stdout
    assert hub.repos[REPO].branches == before
    assert not [path for method, path in hub.requests[seen:] if method == "POST"]


def test_public_repository_is_refused_unless_asked_for(
    hub: FakeHub, run: Any, make_folder: Callable[..., Path]
) -> None:
    assert run(PUSH, REPO, str(make_folder("a-b")), "--public").returncode == 0
    assert not hub.repos[REPO].private
    commits = len(hub.repos[REPO].commits)
    done = run(PUSH, REPO, str(make_folder("c-d")))
    assert done.returncode == 2
    assert "is public; pass --public" in done.stderr
    assert len(hub.repos[REPO].commits) == commits


def test_wrong_token_is_told(hub: FakeHub, run: Any, make_folder: Callable[..., Path]) -> None:
    code = PUSH.replace("import sys", "import os, sys; os.environ['HF_TOKEN'] = 'other'")
    done = run(code, REPO, str(make_folder("a-b")))
    assert done.returncode == 2
    assert "hf auth login" in done.stderr
    assert not hub.repos
