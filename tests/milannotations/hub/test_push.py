from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetCard
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from typer.testing import CliRunner

from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint_of_files
from milannotations.folder import write_records
from milannotations.hub.card import Facts, read_metadata, render_card
from milannotations.hub.commands import app
from milannotations.hub.push import PushReport
from milannotations.hub.push import push as push_to_hub

REPO = "user/neurons"
MakeFolder = Callable[..., Path]


class RecordingApi:
    """Stands for the client: one repository, and a record of what was called."""

    token = "fake"

    def __init__(self, files: dict[str, str] | None = None, private: bool = True) -> None:
        self.files = files
        self.private = private
        self.calls: list[str] = []
        self.added: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.parent: str | None = None
        self.fails: Exception | None = None
        self._cache: Path | None = None

    def repo_info(self, repo_id: str, **_: Any) -> SimpleNamespace:
        self.calls.append("repo_info")
        if self.files is None:
            raise RepositoryNotFoundError("not found", response=_response(404))
        return SimpleNamespace(sha="a" * 40, private=self.private)

    def list_repo_files(self, repo_id: str, **_: Any) -> list[str]:
        assert self.files is not None
        return list(self.files)

    def hf_hub_download(self, repo_id: str, *, filename: str, **_: Any) -> str:
        assert self.files is not None
        assert self._cache is not None
        path = self._cache / filename.replace("/", "_")
        path.write_text(self.files[filename], encoding="utf-8")
        return str(path)

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool, **_: Any) -> None:
        assert exist_ok
        self.calls.append("create_repo")
        if self.files is None:
            self.files, self.private = {".gitattributes": ""}, private

    def create_commit(
        self, repo_id: str, operations: list[Any], *, parent_commit: str | None, **_: Any
    ) -> SimpleNamespace:
        self.calls.append("create_commit")
        if self.fails:
            raise self.fails
        self.parent = parent_commit
        for operation in operations:
            if isinstance(operation, CommitOperationAdd):
                with operation.as_file() as file:
                    self.added[operation.path_in_repo] = file.read()
            else:
                assert isinstance(operation, CommitOperationDelete)
                self.deleted.append(operation.path_in_repo)
        return SimpleNamespace(commit_url="https://hub/commit/1")

    def __call__(self, cache: Path) -> RecordingApi:
        self._cache = cache
        return self


def _response(status: int) -> Any:
    # The client's HTTP library differs between its versions; this much all of them look at.
    request = SimpleNamespace(url="https://hub/api", headers={})
    return SimpleNamespace(status_code=status, headers={}, request=request)


@pytest.fixture
def push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PushReport]:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))

    def call(names: Any, api: RecordingApi, **options: Any) -> PushReport:
        return push_to_hub(names, options.pop("repo", REPO), api=api(tmp_path), **options)

    return call


def test_one_commit_holds_shards_facts_and_card(push: Any, make_folder: MakeFolder) -> None:
    folder, api = make_folder("alexnet-places365"), RecordingApi()
    report = push(folder, api)
    assert api.calls.count("create_commit") == 1
    assert api.private
    assert set(api.added) == {
        "README.md",
        "data/alexnet-places365/000-conv1-00000.parquet",
        "data/alexnet-places365/001-conv2-00000.parquet",
        "data/alexnet-places365/facts.json",
    }
    assert report.files == [(path, len(data)) for path, data in api.added.items()]
    assert api.added["README.md"].decode() == report.card
    for shard in (folder / "data").iterdir():
        assert api.added[f"data/{folder.name}/{shard.name}"] == shard.read_bytes()
    facts = json.loads(api.added[f"data/{folder.name}/facts.json"])
    assert facts["layers"] == {"conv1": 2, "conv2": 2}
    assert (facts["neurons"], facts["annotations"], facts["with_images"]) == (4, 12, 4)
    assert facts["fingerprint"] == fingerprint_of_files(sorted((folder / "data").iterdir()))
    assert report.url == "https://hub/commit/1"


def test_the_network_is_recorded_without_this_machines_folders(
    push: Any, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder, api = make_folder("alexnet-places365"), RecordingApi()
    network = {
        "model": "alexnet", "dataset": "places365", "weights_sha256": "ab+cd", "spec": "alexnet",
        "weights": str(tmp_path / "mine.pt"), "near": "../mine.pt",
        "autoencoders": {"conv1": str(tmp_path / "sae.pt")},
    }  # fmt: skip
    (folder / "build.json").write_text(json.dumps({"network": network}))
    push(folder, api)
    uploaded = api.added[f"data/{folder.name}/network.json"]
    assert str(tmp_path).encode() not in uploaded
    public = json.loads(uploaded)
    assert public["weights"] == "mine.pt"
    assert public["autoencoders"] == {"conv1": "sae.pt"}
    assert (public["spec"], public["weights_sha256"]) == ("alexnet", "ab+cd")


def test_installed_configs_and_groups_by_name(
    push: Any, make_folder: MakeFolder, tmp_path: Path
) -> None:
    place = tmp_path / "home" / "configs"
    make_folder("biggan-imagenet", place=place)
    with pytest.raises(InputError, match=r"biggan-places365 not installed"):
        push("gen", RecordingApi())
    make_folder("biggan-places365", place=place)
    api = RecordingApi()
    push("gen", api)
    metadata = read_metadata(api.added["README.md"].decode())
    assert [config["config_name"] for config in metadata["configs"]] == [
        "biggan-imagenet",
        "biggan-places365",
    ]
    with pytest.raises(InputError, match="named 2 times"):
        push(["gen", "biggan/imagenet"], RecordingApi())
    with pytest.raises(InputError, match="did you mean 'biggan-imagenet'"):
        push("biggan-imagnet", RecordingApi())


def test_dry_run_needs_neither_hub_nor_token(
    push: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make_folder("alexnet-places365")
    api = RecordingApi()
    api.token = None  # type: ignore[assignment]
    monkeypatch.setattr("milannotations.hub.push.get_token", lambda: None)
    with pytest.raises(InputError, match="no token of the hub"):
        push(folder, api)
    report = push(folder, api, dry_run=True)
    assert set(api.calls) == {"repo_info"}
    assert "without a token" in report.notes[0]
    assert dict(report.files)["README.md"] == len(report.card.encode())

    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(app, [str(folder), "--repo", REPO, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert report.card in result.output
    assert "HF_HUB_OFFLINE" in result.output  # what is there could not be read, and is told
    assert "dry run: 4 files" in result.output


@pytest.mark.parametrize("name", ["alexnet-imagenet", "resnet18-imagenet"])
def test_images_of_imagenet_are_refused(push: Any, make_folder: MakeFolder, name: str) -> None:
    folder, api = make_folder(name), RecordingApi()
    with pytest.raises(InputError, match=r"ImageNet(?s:.)*--without-images(?s:.)*--i-may-red"):
        push(folder, api)
    assert not api.calls
    assert push(folder, api, include_images=True).files
    assert api.added[f"data/{name}/000-conv1-00000.parquet"].count(b"\x89PNG") > 6


def test_config_name_alone_is_enough_to_refuse(push: Any, make_folder: MakeFolder) -> None:
    folder = make_folder("mine-here", release={"config": "alexnet-imagenet"})
    with pytest.raises(InputError, match="ImageNet"):
        push(folder, RecordingApi())


@pytest.mark.parametrize(
    ("name", "images"), [("biggan-imagenet", True), ("alexnet-imagenet", False)]
)
def test_generated_images_and_none_at_all_are_not_refused(
    push: Any, make_folder: MakeFolder, name: str, images: bool
) -> None:
    api = RecordingApi()
    push(make_folder(name, images=images), api)
    facts = json.loads(api.added[f"data/{name}/facts.json"])
    assert facts["with_images"] == (4 if images else 0)


def test_leaving_images_out_changes_nothing_else(
    push: Any, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder, api = make_folder("alexnet-imagenet"), RecordingApi()
    before = {path: path.read_bytes() for path in (folder / "data").iterdir()}
    report = push(folder, api, include_images=False)
    assert {path: path.read_bytes() for path in (folder / "data").iterdir()} == before
    for shard in before:
        copy = tmp_path / shard.name
        copy.write_bytes(api.added[f"data/{folder.name}/{shard.name}"])
        old, new = pq.read_table(shard), pq.read_table(copy)
        assert new["images"].to_pylist() == [[]] * len(old)
        assert new.drop_columns("images").equals(old.drop_columns("images"))
        assert new.schema.metadata == old.schema.metadata
    facts = json.loads(api.added[f"data/{folder.name}/facts.json"])
    assert facts["fingerprint"] == fingerprint_of_files(sorted(before))
    assert facts["file_bytes"] == sum(
        size for path, size in report.files if path.endswith(".parquet")
    )


def test_other_configs_stay_and_stale_shards_go(
    push: Any, make_folder: MakeFolder, tmp_path: Path
) -> None:
    first = RecordingApi()
    push([make_folder("a-b"), make_folder("c-d")], first)
    old = {path: data.decode("utf-8", errors="replace") for path, data in first.added.items()}
    card = old["README.md"].replace("---\n", "---\nextra_gated_prompt: ask\n", 1)
    card = card.replace("license: other", "license: mit")
    stranger = "- config_name: theirs\n  data_files: theirs/*.parquet\n"
    card = card.replace("configs:\n", "configs:\n" + stranger, 1)
    api = RecordingApi(
        {**old, "README.md": card, "data/a-b/009-gone.parquet": "", "data/a-bc/x.parquet": ""}
    )
    report = push(make_folder("a-b", ("conv1",), place=tmp_path / "second"), api)
    assert api.parent == "a" * 40
    assert sorted(api.deleted) == ["data/a-b/001-conv2-00000.parquet", "data/a-b/009-gone.parquet"]
    assert not [path for path in api.added if path.startswith("data/c-d")]
    assert report.unchanged == ["theirs", "c-d"]
    metadata = read_metadata(report.card)
    assert metadata["extra_gated_prompt"] == "ask"
    assert metadata["license"] == "mit"
    assert metadata["configs"][0] == {"config_name": "theirs", "data_files": "theirs/*.parquet"}
    sizes = {info["config_name"]: info["splits"][0] for info in metadata["dataset_info"]}
    assert (sizes["a-b"]["num_examples"], sizes["c-d"]["num_examples"]) == (2, 4)
    assert "| `c-d` | `c` | `d` | `conv1` (2), `conv2` (2) | 4 |" in report.card
    assert "| `theirs` | – |" in report.card


def test_readme_that_cannot_be_kept_is_refused(push: Any, make_folder: MakeFolder) -> None:
    folder = make_folder("a-b")
    for configs in ("configs: 3", "configs:\n- config_name: '../x'", "configs: [a, b]", "a: [b"):
        api = RecordingApi({"README.md": f"---\n{configs}\n---\n"})
        with pytest.raises(InputError, match=r"README\.md"):
            push(folder, api)
        assert "create_commit" not in api.calls


def test_public_repository_is_not_written_by_default(push: Any, make_folder: MakeFolder) -> None:
    api = RecordingApi({}, private=False)
    with pytest.raises(InputError, match="--public"):
        push(make_folder("a-b"), api)
    assert push(make_folder("e-f"), api, private=False).url


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "hf auth login"), (403, "may not write"), (412, "changed"), (500, "try again later")],
)
def test_refusals_of_the_hub_say_what_to_do(
    push: Any, make_folder: MakeFolder, status: int, advice: str
) -> None:
    api = RecordingApi()
    api.fails = HfHubHTTPError("refused", response=_response(status))
    with pytest.raises(InputError, match=advice):
        push(make_folder("a-b"), api)
    assert not api.added


def test_network_that_is_not_there_is_told(push: Any, make_folder: MakeFolder) -> None:
    api = RecordingApi()
    api.fails = HfHubHTTPError.__bases__[0]("no route")  # the HTTP library's own error
    with pytest.raises(InputError, match=r"cannot be reached.*no route"):
        push(make_folder("a-b"), api)


@pytest.mark.parametrize("repo", ["neurons", "a/b/c", "a/b--c", "../x", "user/na me"])
def test_bad_repository_ids(push: Any, make_folder: MakeFolder, repo: str) -> None:
    with pytest.raises(InputError, match="repository"):
        push(make_folder("a-b"), RecordingApi(), repo=repo)


def test_damaged_folders_are_refused_before_the_hub_is_asked(
    push: Any, make_folder: MakeFolder, tmp_path: Path
) -> None:
    def refused(folder: Path, match: str) -> None:
        api = RecordingApi()
        with pytest.raises(InputError, match=match):
            push(folder, api)
        assert not api.calls

    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, r"no data/\*\.parquet")
    broken = make_folder("broken-x")
    shard = broken / "data" / "001-conv2-00000.parquet"
    table = pq.read_table(shard)
    shard.write_bytes(shard.read_bytes()[:-20])
    refused(broken, re.escape(str(shard)))
    pq.write_table(table.drop_columns("masks"), shard)
    refused(broken, r"lacks the columns \['masks'\]")
    pq.write_table(table.append_column("more", table["unit"]), shard)
    refused(broken, r"also has the columns \['more'\]")
    pq.write_table(table.set_column(3, "unit", table["layer"]), shard)
    refused(broken, r"other types in the columns \['unit'\]")
    shard.unlink()
    (broken / "data" / "002.parquet").write_bytes(
        (broken / "data" / "000-conv1-00000.parquet").read_bytes()
    )
    refused(broken, "neuron conv1:0 2 times")
    write_records(broken / "data" / "000-conv1-00000.parquet", [])
    write_records(broken / "data" / "002.parquet", [])
    refused(broken, "holds no records")
    refused(make_folder("a b"), "'a b' cannot be a name")
    refused(make_folder("c-d", release={"config": "x\ny: z"}), "cannot be a name")
    refused(make_folder("e-f", ("conv`|1",)), "layers")


def test_damaged_masks_and_changed_shards_are_refused(push: Any, make_folder: MakeFolder) -> None:
    changed = make_folder("a-b", release={"fingerprint": "0" * 16})
    api = RecordingApi()
    with pytest.raises(InputError, match=r"changed since"):
        push(changed, api)
    folder = make_folder("c-d", ("conv1",), images=False)
    (shard,) = (folder / "data").iterdir()
    record = pq.read_table(shard).to_pylist()[0]
    write_records(shard, [{**record, "masks": [b"no PNG"]}])
    with pytest.raises(InputError, match=re.escape(str(shard))):
        push(folder, api)
    assert "create_repo" not in api.calls


def test_card_of_one_config_is_default_and_counts(push: Any, make_folder: MakeFolder) -> None:
    folder = make_folder("alexnet-places365")
    (folder / "quality.md").write_text("# Quality\n\n| a | b |\n| - | - |\n| 1 | 2 |\n")
    report = push(folder, RecordingApi())
    data = DatasetCard(report.card).data.to_dict()
    path = "data/alexnet-places365/*.parquet"
    assert data["configs"] == [
        {
            "config_name": "alexnet-places365",
            "data_files": [{"split": "train", "path": path}],
            "default": True,
        }
    ]
    (info,) = data["dataset_info"]
    assert info["splits"][0]["num_examples"] == 4
    assert info["download_size"] == sum(s for p, s in report.files if p.endswith(".parquet"))
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["image-to-text"]
    assert 'milannotations.load("user/neurons", config="alexnet-places365")' in report.card
    assert "#### Quality\n\n| a | b |" in report.card
    assert "images of Places365" in report.card


def test_card_survives_odd_names_and_texts() -> None:
    facts = Facts(
        config="no",  # YAML reads it as a boolean where it is not quoted
        model="1e3",
        dataset="null",
        layers={"0": 2},
        neurons=2_000,
        annotations=0,
        with_images=0,
        file_bytes=1,
        data_bytes=1,
        differences=["layer <b>\n| x |"],
    )
    card = render_card(REPO, [facts])
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["configs"][0]["config_name"] == "no"
    assert metadata["size_categories"] == ["1K<n<10K"]
    assert r"layer \<b\> \| x \|" in card
    for wrong in ("a\n", "a|b", "`", "a b", "", "-a", "é"):
        with pytest.raises(ValueError, match="config"):
            Facts.model_validate({**facts.model_dump(), "config": wrong})


def test_command_refuses_contradicting_flags(make_folder: MakeFolder) -> None:
    flags = ["--without-images", "--i-may-redistribute-images"]
    result = CliRunner().invoke(app, [str(make_folder("a-b")), "--repo", REPO, *flags])
    assert isinstance(result.exception, InputError)
