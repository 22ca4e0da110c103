"""Tests of this project's own rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.names import open_concepts
from benchmark.result import read_result
from leaderboard.commands import rows as rows_command
from leaderboard.definition import BoardDefinition, read_board
from leaderboard.own_methods import DEMO_METHODS, OWN_METHODS, SCENES
from leaderboard.own_submissions import _given, write_own_submissions
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import score_submissions
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.worlds import DEMO_SCENES, make_scene
from milannotations.worlds.scenes import arrange
from tests.leaderboard.submission.conftest import BOARD, WORDS, annotated


@pytest.fixture
def make_board(tmp_path: Path) -> BoardDefinition:
    """A board whose references people wrote."""
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "board.yaml").write_text(yaml.safe_dump({**BOARD, "references": "people"}))
    for name, model in (("first", "net"), ("second", "other")):
        annotated(model, WORDS).to_parquet(folder / f"{name}.parquet")
    return read_board(folder)


CHEAP = ["people", "constant", "constant-frequent", "random-train"]


def test_rows_are_submissions_like_any_other(make_board: BoardDefinition, tmp_path: Path) -> None:
    folders, skipped = write_own_submissions(
        make_board, tmp_path / "sent", CHEAP, seed=3, device="cpu"
    )
    assert skipped == {}
    assert sorted(folder.name for folder in folders) == sorted(CHEAP)
    checked = [check(folder, make_board) for folder in folders]
    assert [one.problems.lines() for one in checked] == [[]] * 4
    scored, _, _ = score_submissions(checked, make_board)
    by_name = {name: one.result for name, one in scored.items()}
    assert by_name["people"].method.kind == "human"
    assert by_name["random-train"].method.seed == 3
    assert by_name["random-train"].method.training_data == ["demo/train"]
    values = {name: r.splits["first"].scores["content"].value for name, r in by_name.items()}
    assert values["people"] > values["constant"]
    for split in ("first", "second"):
        assert by_name["people"].splits[split].scored == 8


def test_what_is_there_stays_unless_it_is_to_be_made_anew(
    make_board: BoardDefinition, tmp_path: Path
) -> None:
    out = tmp_path / "sent"
    write_own_submissions(make_board, out, ["constant"], device="cpu")
    table = out / "constant" / "descriptions.csv"
    table.write_text(table.read_text().replace("objects", "things"))
    write_own_submissions(make_board, out, ["constant"], device="cpu")
    assert "things" in table.read_text()
    write_own_submissions(make_board, out, ["constant"], device="cpu", overwrite=True)
    assert "things" not in table.read_text()


def test_references_decide_which_ceiling_there_is(
    make_board: BoardDefinition, tmp_path: Path
) -> None:
    _, skipped = write_own_submissions(make_board, tmp_path / "sent", ["oracle"], device="cpu")
    assert skipped == {"oracle": "it is for boards whose references are by program"}
    assert read_board("milannotations").references == "people"
    assert read_board("demo").references == "program"


def test_unknown_rows_are_refused(make_board: BoardDefinition, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row is named 'retreival'; did you mean 'retrieval'"):
        write_own_submissions(make_board, tmp_path / "sent", ["retreival"])


def test_a_row_that_cannot_be_made_is_told(make_board: BoardDefinition, tmp_path: Path) -> None:
    """Scenes that there are not; the other rows are made all the same."""
    folders, skipped = write_own_submissions(
        make_board, tmp_path / "sent", ["constant", "netdissect"], concepts="nowhere", device="cpu"
    )
    assert [folder.name for folder in folders] == ["constant"]
    assert "nowhere" in skipped["netdissect"]


def test_scenes_of_the_dissection_baselines_are_in_no_split_of_the_demo() -> None:
    source = open_concepts(SCENES)
    assert isinstance(source, LabelledScenes)
    assert source.seed not in {seed for seed, _ in DEMO_SCENES.values()}
    labelled = {arrange(source.seed, index) for index in range(len(source))}
    for seed, count in DEMO_SCENES.values():
        assert not labelled & {arrange(seed, index) for index in range(count)}
    # The seeds are those that the demo was built with: exemplars are named by scene.
    assert {split.source for split in read_board("demo").splits} == {"demo/test", "demo/network"}
    assert [parameter.default for parameter in _options(rows_command, "concepts")] == [SCENES]


def _options(command: Callable[..., None], name: str) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(command).parameters.values() if p.name == name]


def test_the_demo_s_exemplars_are_of_the_scenes_that_are_declared() -> None:
    """The strongest exemplar of some neurons, against the rendered scenes of that seed."""
    for split in ("train", "test"):
        seed, count = DEMO_SCENES[split]
        neuron = load_split("demo", split)[0]
        index = int(neuron["image_ids"][0])
        assert index < count
        ours = np.asarray(make_scene(seed, index).image.resize((56, 56)), dtype=float)
        stored = np.asarray(neuron["images"][0].convert("RGB").resize((56, 56)), dtype=float)
        assert np.abs(ours - stored).mean() < 6
        other = np.asarray(make_scene(5, index).image.resize((56, 56)), dtype=float)
        assert np.abs(other - stored).mean() > 15


@pytest.mark.parametrize(
    ("concepts", "says"),
    [
        ("worlds:5:256", "256 labelled images, worlds:5:256, on which the network is run; they "
         "are in no split of this board"),
        ("worlds:3:8", "8 labelled images, worlds:3:8, on which the network is run; they are the "
         "images of split test itself"),
    ],
)  # fmt: skip
def test_what_a_dissection_is_given(concepts: str, says: str) -> None:
    describer = create("netdissect", concepts=concepts, device="cpu")
    given = _given(OWN_METHODS["netdissect"], describer, read_board("demo"), concepts)
    assert given["images"] == says
    assert given["labels"].startswith("of every pixel of those images: shape, colour")
    assert given["vocabulary"] == "the names of the 30 labels"


def test_every_row_says_what_its_method_was_given(
    make_board: BoardDefinition, tmp_path: Path
) -> None:
    folders, _ = write_own_submissions(make_board, tmp_path / "sent", CHEAP, device="cpu")
    for folder in folders:
        submission = check(folder, make_board).submission
        assert submission is not None
        method = submission.method()
        assert (method.images, method.labels) == ("none", "none")
        assert method.vocabulary
    for path in read_board("demo").results.glob("*.json"):
        method = read_result(path).method
        assert method.images and method.labels and method.vocabulary, path
        assert ("labelled images" in method.images) == (method.labels != "none")
        assert "itself" not in method.images


def test_every_row_that_can_be_made_is_kept_for_the_demo_s_board() -> None:
    kept = {path.name for path in read_board("demo").submissions.iterdir()}
    # No weights of CLIP install from a package index, and nobody has annotated the demo.
    assert kept == set(OWN_METHODS) - {"clip-dissect", "people"}
    assert {path.stem for path in read_board("demo").results.glob("*.json")} == kept
    assert set(DEMO_METHODS) <= kept
