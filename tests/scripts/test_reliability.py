"""The trials of commands that are killed or lack something: they notice faults, and find none."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.kill_everywhere import run as kill_commands
from scripts.kill_everywhere import table as kill_table
from scripts.reliability.cases import CASES, Case, normalise, select
from scripts.reliability.client import Outcome, Server
from scripts.reliability.kills import Row
from scripts.reliability.pages import put
from scripts.reliability.stage import Stage
from scripts.reliability.surroundings import (
    DIFFERS,
    HALF,
    NO_SENTENCE,
    REFUSED,
    TRACEBACK,
    USUAL,
    Plain,
    judge,
    try_limited_files,
    try_streams,
    try_two_at_once,
)
from scripts.reliability.trees import differences, half_done, snapshot
from scripts.try_surroundings import table as surroundings_table

OLD = {"out": "folder", "out/a": "1", "out/b": "1"}
NEW = {"out": "folder", "out/a": "2", "out/b": "2"}
CASE = Case("name", "command", ("out",))


@pytest.mark.parametrize("now", [OLD, NEW, {}, {"out": "folder"}, OLD | {".out.x": "3"}])
def test_old_new_hidden_and_nothing_are_not_half_done(now: dict[str, str]) -> None:
    assert half_done(now, OLD, NEW, ("out",)) == []


@pytest.mark.parametrize(
    ("now", "whole", "wrong"),
    [
        (OLD | {"out/a": "2"}, ("out",), ["out"]),
        ({"out": "folder", "out/a": "2"}, ("out",), ["out"]),
        (OLD | {"out/a": "2"}, (), []),  # files that stand for themselves
        (OLD | {"out/a": "3"}, (), ["out/a"]),
        (OLD | {"c": "1"}, ("out",), ["c"]),
    ],
)
def test_a_mixture_is_half_done(
    now: dict[str, str], whole: tuple[str, ...], wrong: list[str]
) -> None:
    assert half_done(now, OLD, NEW, whole) == wrong


def test_snapshots_tell_content_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "cache").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to("there")
    (tmp_path / "b.json").write_text('{"wall_time_s": 0.25, "x": 1}')
    before = snapshot(tmp_path, normalise)
    assert sorted(before) == ["a", "a/link", "b.json"]
    (tmp_path / "b.json").write_text('{"wall_time_s": 1.5e-05, "x": 1}')
    assert snapshot(tmp_path, normalise) == before
    (tmp_path / "b.json").write_text('{"wall_time_s": 0.25, "x": 2}')
    assert differences(before, snapshot(tmp_path, normalise)) == ["b.json"]


@pytest.mark.parametrize(
    ("status", "err", "now", "outcome"),
    [
        (0, "", NEW, USUAL),
        (0, "", OLD, DIFFERS),
        (2, "error: out: no room", OLD, REFUSED),
        (2, "error: out: no room", OLD | {"out/a": "2"}, HALF),
        (2, "", OLD, NO_SENTENCE),
        (70, "error: x", OLD, NO_SENTENCE),
        (1, "Traceback (most recent call last):\nKeyError: 1", OLD, TRACEBACK),
        (120, "Exception ignored: BrokenPipeError", NEW, TRACEBACK),
    ],
)
def test_outcomes(status: int, err: str, now: dict[str, str], outcome: str) -> None:
    done = Outcome(status, 0.1, "", err)
    assert judge(done, now, Plain(OLD, NEW), CASE)[0] == outcome


def test_a_lost_output_may_end_with_any_status() -> None:
    done = Outcome(141, 0.1, "", "")
    assert judge(done, NEW, Plain(OLD, NEW), CASE, any_status=True)[0] == USUAL
    assert judge(done, OLD, Plain(OLD, NEW), CASE, any_status=True)[0] == NO_SENTENCE


def test_commands_are_chosen_by_the_beginning_of_their_name() -> None:
    assert [case.name for case in select(["score", "view, over"])] == [
        "view, over another",
        "score",
        "score, over another",
    ]
    assert select(None) == CASES
    assert len({case.name for case in CASES}) == len(CASES)
    assert not any(case.slow for case in select(None, slow=False))


def test_tables_go_between_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    put(page, "x", kill_table([Row("score", 3, 4, 4, 4, 4)]))
    text = page.read_text()
    assert "| score | 3 | 4 | 4 | 4 | 4 |\n| **all** | **3** | **4** |" in text
    assert "old" not in text and text.startswith("a\n") and text.endswith("\nb\n")
    with pytest.raises(ValueError, match="lacks <!-- y -->"):
        put(page, "y", surroundings_table([]))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run; their inputs are made once."""
    return tmp_path_factory.mktemp("reliability")


@pytest.mark.slow
def test_commands_that_are_killed_go_on_and_end_the_same(scratch: Path) -> None:
    """Some commands, at some of their changes; the script tries all."""
    rows = kill_commands(scratch, ["import-release, where", "view"], 12)
    assert all(row.good for row in rows), [line for row in rows for line in row.failures]
    assert all(row.killed >= 5 for row in rows)


@pytest.mark.slow
def test_kills_come_at_the_change_that_is_named(scratch: Path) -> None:
    stage = Stage(scratch)
    [case] = select(["describe, random"])
    with Server(stage.env) as server:
        stage.write_inputs(server)
        stage.prepare(server, case)
        whole = stage.run(server, case, **stage.counted)
        kinds = [kind for kind, *_ in whole.changes]
        number = len(kinds) - kinds[::-1].index("rename")
        for after, there in ((False, False), (True, True)):
            stage.reset()
            done = stage.run(server, case, **stage.counted, kill_at=number, kill_after=after)
            assert done.status == -9
            assert len(done.changes) == number and done.changes[-1][-1] == "work/out.csv"
            assert (stage.root / "work" / "out.csv").exists() is there
        stage.reset()
        done = stage.run(server, case, **stage.counted, size_limit=10, size_kills=True)
        assert done.status == -25
        assert not (stage.root / "work" / "out.csv").exists()


@pytest.mark.slow
def test_commands_in_odd_surroundings_end_as_usual_or_with_a_sentence(scratch: Path) -> None:
    stage = Stage(scratch)
    cases = select(["leaderboard init", "describe, random"])
    with Server(stage.env) as server:
        stage.write_inputs(server)
        for trial in (try_streams, try_limited_files, try_two_at_once):
            for tally in trial(stage, server, cases):
                assert tally.failures == []
                assert sum(tally.counts.values()) >= len(cases)
