"""Tests of pushing a board through the real client to a hub on this machine."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from datasets import Dataset, load_dataset
from huggingface_hub import HfApi, parse_eval_result_entries
from typer.testing import CliRunner

import leaderboard.hub.push as pushing
from leaderboard.commands import app
from leaderboard.definition import BoardDefinition, read_board
from leaderboard.hub.push import push
from leaderboard.hub.repository_files import TAG
from leaderboard.render import render
from milannotations.errors import InputError
from milannotations.hub.card import read_metadata
from tests.milannotations.hub.fake_hub import TOKEN, FakeHub, FakeRepo, running_hub

REPO, SPACE, MODEL = "user/board", "user/site", "user/alpha"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    # Its files must be small enough to be committed as they are, and nothing be asked of the real.
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with running_hub() as running:
        yield running


@pytest.fixture
def api(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def definition(results: Path, tmp_path: Path) -> BoardDefinition:
    """A board beside the results, with the submission of one of them."""
    folder = tmp_path / "board"
    (folder / "submissions" / "alpha").mkdir(parents=True)
    (folder / "submissions" / "alpha" / "submission.yaml").write_text("name: alpha\n")
    (folder / "submissions" / "alpha" / "descriptions.csv").write_text("model\n")
    (folder / "submissions" / "beta").mkdir()
    (folder / "submissions" / "beta" / "submission.yaml").symlink_to("/etc/passwd")
    plain = {
        "name": "small", "version": 3, "title": "A *small* board", "main_metric": "identification",
        "main_split": "test", "metrics": ["identification"], "sentence_encoder": "none",
        "bertscore_encoder": "none",
        "splits": [{"name": "test", "source": "demo/test"},
                   {"name": "network", "source": "demo/network"}],
    }  # fmt: skip
    (folder / "board.yaml").write_text(yaml.safe_dump(plain))
    return read_board(folder)


@pytest.fixture
def site(results: Path, neurons: Dataset, tmp_path: Path) -> Path:
    return render(results, {"test": neurons}, tmp_path / "site").parent


def card(files: dict[str, bytes]) -> str:
    return files["README.md"].decode()


def test_a_board_is_pushed_whole(
    hub: FakeHub, api: HfApi, results: Path, definition: BoardDefinition, site: Path
) -> None:
    done = push(
        results, definition=definition, repo_id=REPO, site=site, space=SPACE, api=api
    )  # fmt: skip
    assert [one.kind for one in done] == ["dataset", "space"]
    assert all(one.url and not one.deleted for one in done)
    data, space = hub.repos[REPO], hub.repos[f"spaces/{SPACE}"]
    assert data.private and space.private
    for name in ("alpha", "beta", "gamma", "random", "people"):
        assert data.files[f"results/{name}.json"] == (results / f"{name}.json").read_bytes()
    assert data.files["board.yaml"] == (definition.folder / "board.yaml").read_bytes()
    assert data.files["submissions/alpha/submission.yaml"] == b"name: alpha\n"
    assert not any("beta" in path for path in data.files if path.startswith("submissions"))
    metadata = read_metadata(card(data.files))
    assert TAG in metadata["tags"]
    assert [c["config_name"] for c in metadata["configs"]] == [
        "scores", "descriptions", "neurons-test",
    ]  # fmt: skip
    # Controls and people stand in the card's table, but without a rank.
    assert re.search(r"\| 1 \| Beta \| 0\.900 \| 0\.850 to 0\.950 \| 8 \| – \|", card(data.files))
    assert "| – | People (human) | 0.950" in card(data.files)
    assert r"# A \*small\* board" in card(data.files)
    for path in site.rglob("*"):
        if path.is_file():
            assert space.files[path.relative_to(site).as_posix()] == path.read_bytes()
    said = read_metadata(card(space.files))
    assert (said["sdk"], said["app_file"], said["datasets"]) == ("static", "index.html", [REPO])


def test_tables_load_as_a_data_set(
    api: HfApi, hub: FakeHub, results: Path, definition: BoardDefinition, tmp_path: Path
) -> None:
    push(results, definition=definition, repo_id=REPO, api=api)
    copy = tmp_path / "copy"
    for path, data in hub.repos[REPO].files.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(data)
    cache = str(tmp_path / "cache")
    scores = load_dataset(str(copy), "scores", split="train", cache_dir=cache)
    best = scores.filter(lambda row: row["method"] == "beta" and row["metric"] == "identification")
    assert [(row["value"], row["rank"], row["n"]) for row in best] == [(0.9, 1, 8)]
    said = load_dataset(str(copy), "descriptions", split="train", cache_dir=cache)
    assert len(said) == 4 * (8 + 6) + 8
    assert set(said["method"]) == {"alpha", "beta", "gamma", "random", "people"}
    neurons = load_dataset(str(copy), "neurons-test", split="test", cache_dir=cache)
    assert len(neurons) == 8


def test_the_hub_s_own_parser_reads_what_models_score(
    api: HfApi, hub: FakeHub, results: Path, definition: BoardDefinition
) -> None:
    hub.repos[f"models/{MODEL}"] = repo = FakeRepo(private=False)
    repo.commit("main", {"README.md": b"mine"})
    done = push(results, definition=definition, repo_id=REPO, models={"alpha": MODEL}, api=api)
    assert done[-1].url.endswith(f"/{MODEL}/discussions/1")
    assert set(repo.files) == {"README.md"}  # proposed, not written
    proposed = repo.commits[repo.branches["refs/pr/1"]][".eval_results/small.yaml"]
    assert proposed == hub.repos[REPO].files["eval_results/alpha.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(proposed))
    assert (entry.dataset_id, entry.task_id, entry.value) == (REPO, "test", 0.8)
    assert entry.source_url == f"https://huggingface.co/datasets/{REPO}"
    assert "95% interval 0.7500 to 0.8500, n 8" in entry.notes
    benchmark = yaml.safe_load(hub.repos[REPO].files["eval.yaml"])
    assert {"name", "description", "evaluation_framework", "tasks"} == set(benchmark)
    assert benchmark["description"].endswith("identification (small@3); higher values are better.")
    assert benchmark["tasks"] == [{"id": "test", "config": "neurons-test", "split": "test"}]
    # Anchors are no models.
    assert {p for p in hub.repos[REPO].files if p.startswith("eval_results/")} == {
        f"eval_results/{name}.yaml" for name in ("alpha", "beta", "gamma")
    }


def test_what_an_earlier_push_left_is_deleted_and_nothing_else(
    api: HfApi, hub: FakeHub, results: Path, definition: BoardDefinition, site: Path,
    neurons: Dataset,
) -> None:  # fmt: skip
    options: dict[str, Any] = {"definition": definition, "repo_id": REPO, "space": SPACE}
    push(results, site=site, api=api, **options)
    hub.repos[REPO].commit("main", {**hub.repos[REPO].files, "notes/mine.txt": b"kept"})
    for path in results.glob("alpha.*"):
        path.unlink()
    render(results, {"test": neurons}, site)
    data, space = push(results, site=site, api=api, **options)
    assert "results/alpha.json" in data.deleted
    assert "eval_results/alpha.yaml" in data.deleted
    assert {p for p in space.deleted if p.startswith("methods/")} == {"methods/alpha.html"}
    assert not [path for path in hub.repos[REPO].files if "alpha" in path and "subm" not in path]
    assert hub.repos[REPO].files["notes/mine.txt"] == b"kept"
    assert "methods/alpha.html" not in hub.repos[f"spaces/{SPACE}"].files


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_what_is_no_board_is_not_written_over(
    api: HfApi, hub: FakeHub, results: Path, site: Path, kind: str
) -> None:
    api.create_repo("user/other", repo_type=kind, space_sdk="static" if kind == "space" else None)
    repo = next(iter(hub.repos.values()))
    repo.commit("main", {"README.md": b"---\ntags: [mine]\n---\n", "data.txt": b"precious"})
    before = dict(repo.files)
    where: dict[str, Any] = (
        {"repo_id": "user/other"} if kind == "dataset" else {"space": "user/other", "site": site}
    )
    with pytest.raises(InputError, match="holds something other than a leaderboard"):
        push(results, private=False, api=api, **where)
    assert repo.files == before


def test_nothing_is_written_where_one_of_two_is_refused(
    api: HfApi, hub: FakeHub, results: Path, site: Path
) -> None:
    api.create_repo(SPACE, repo_type="space", space_sdk="static", private=True)
    hub.repos[f"spaces/{SPACE}"].commit("main", {"game.js": b"1"})
    with pytest.raises(InputError, match="something other than a leaderboard"):
        push(results, repo_id=REPO, site=site, space=SPACE, api=api)
    assert REPO not in hub.repos


def test_a_public_repository_needs_to_be_meant(api: HfApi, hub: FakeHub, results: Path) -> None:
    api.create_repo(REPO, repo_type="dataset", private=False)
    with pytest.raises(InputError, match="is public; pass --public"):
        push(results, repo_id=REPO, api=api)
    push(results, repo_id=REPO, private=False, api=api)
    assert "scores.parquet" in hub.repos[REPO].files


def test_a_dry_run_writes_nothing(
    api: HfApi, hub: FakeHub, results: Path, site: Path, definition: BoardDefinition
) -> None:
    done = push(
        results, definition=definition, repo_id=REPO, site=site, space=SPACE,
        models={"alpha": MODEL}, dry_run=True, api=api,
    )  # fmt: skip
    assert [(one.kind, one.url) for one in done] == [("dataset", ""), ("space", ""), ("model", "")]
    assert ".eval_results/small.yaml" in dict(done[2].files)
    assert hub.repos == {}
    assert {method for method, _ in hub.requests} <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "name a dataset repository"),
        ({"space": SPACE}, "needs a rendered site"),
        ({"repo_id": "board"}, "write it as USER/NAME"),
        ({"repo_id": "../../etc/passwd"}, "repository"),
        ({"space": SPACE, "site": True, "models": {"alpha": MODEL}}, "pass --repo"),
        ({"repo_id": REPO, "models": {"alpah": MODEL}}, "did you mean 'alpha'"),
        ({"repo_id": REPO, "models": {"alpha": "here"}}, "write it as USER/NAME"),
        ({"repo_id": REPO, "site": "elsewhere", "space": SPACE}, "is not a leaderboard site"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(
    api: HfApi, hub: FakeHub, results: Path, site: Path, options: dict[str, Any], match: str
) -> None:
    if options.get("site") is True:
        options = {**options, "site": site}
    elif "site" in options:
        options = {**options, "site": results}
    with pytest.raises(InputError, match=match):
        push(results, api=api, **options)
    assert hub.repos == {}


def test_only_files_of_a_site_are_uploaded(api: HfApi, results: Path, site: Path) -> None:
    (site / "id_rsa").write_text("secret")
    with pytest.raises(InputError, match="id_rsa is not part of a site"):
        push(results, space=SPACE, site=site, api=api)
    (site / "id_rsa").unlink()
    (site / "data" / "x.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is not part of a site"):
        push(results, space=SPACE, site=site, api=api)


def test_without_a_token_nothing_is_tried(
    results: Path, monkeypatch: pytest.MonkeyPatch, hub: FakeHub
) -> None:
    monkeypatch.setattr("milannotations.hub.push.get_token", lambda: None)
    with pytest.raises(InputError, match="no token of the hub"):
        push(results, repo_id=REPO, api=HfApi(endpoint=hub.url))
    assert hub.requests == []


def test_hostile_texts_stay_texts_on_the_card(
    api: HfApi, hub: FakeHub, tmp_path: Path, save_result: Any
) -> None:
    title = "](javascript:x) | <img src=x onerror=1> `a` ---\nsdk: docker"
    for name in ("one", "two"):
        save_result(
            tmp_path / "r", name, {"identification": 0.6}, title=title, training_data=["| | <b>"]
        )
    push(tmp_path / "r", repo_id=REPO, api=api)
    text = card(hub.repos[REPO].files)
    assert "<img" not in text.replace("\\<img", "")
    assert "](javascript" not in text.replace("\\](javascript", "").replace("\\]\\(javascript", "")
    assert "sdk" not in read_metadata(text)
    row = next(line for line in text.splitlines() if "javascript" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 7  # six cells
    scores = pd.read_parquet(io.BytesIO(hub.repos[REPO].files["scores.parquet"]))
    assert set(scores["title"]) == {title}


def test_the_command(
    hub: FakeHub, api: HfApi, results: Path, definition: BoardDefinition,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pushing, "connect", lambda *_, **__: (api, TOKEN))
    shutil.copytree(results, definition.folder / "results")
    arguments = ["push", "--board", str(definition.folder), "--repo", REPO]
    dry = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "would be written" in dry.output and "results/alpha.json" in dry.output
    assert hub.repos == {}
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"dataset {REPO}: " in done.output and "/commit/" in done.output
    assert "scores.parquet" in hub.repos[REPO].files
