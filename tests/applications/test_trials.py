"""Trials: their summary by hand, and all three once, at a scale that says nothing."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from applications import network_descriptions as described
from applications.experiment_commands import app
from applications.trials import trial_networks as scenes
from applications.trials import trial_runs as running
from applications.trials import trial_summary as summary
from benchmark.intervals import over_trials


def test_intervals_over_trials_are_students():
    values = [3.0, 4.5, 4.0, 6.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    found = over_trials(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert math.isnan(over_trials([1.0]).low)


def test_intervals_over_trials_stay_in_their_range():
    results = {1: edit_result(0.03, 0.99), 2: edit_result(0.3, 0.8)}
    table = summary.summarize("edit", results).dropna(subset=["low"])
    for unit, (least, most) in summary.BOUNDS.items():
        rows = table[table["unit"] == unit]
        assert len(rows) and (rows["low"] >= least).all() and (rows["high"] <= most).all()


def edit_result(before, after):
    tests = {
        test: {"before": before, "after": {"descriptions": after, "random": before},
               "trained without text": 0.8, "edited, last layer trained again": after}
        for test in ("plain", "adversarial")
    }  # fmt: skip
    return {"units": 248, "matching": 100, "matching_without_text": 50, "ablated": 13,
            "ablated without adversarial": 4,
            "tests": tests}  # fmt: skip


def test_summary_of_edits_stands_beside_the_paper(tmp_path):
    results = {1: edit_result(0.3, 0.5), 2: edit_result(0.4, 0.5)}
    table = summary.write_summary("edit", results, tmp_path, "note").set_index("what")
    gain = table.loc["adversarial: gain by descriptions"]
    assert gain["mean"] == pytest.approx(15.0) and gain["published"] == "4.9"
    assert table.loc["adversarial: trained without text", "published"] == "80.8"
    assert table.loc["plain: gain by descriptions", "published"] == ""
    assert "| +15.0 (" in (tmp_path / "edit.md").read_text()
    assert (tmp_path / "edit.png").stat().st_size > 5000


def test_summary_of_another_cue_has_no_numbers_of_the_paper(tmp_path):
    result = {**edit_result(0.3, 0.5), "cue": "color", "matching_without_color": 20}
    for test in result["tests"].values():
        test["trained without color"] = test.pop("trained without text")
    table = summary.write_summary("edit", {1: result, 2: result}, tmp_path, "note", "edit-color")
    assert set(table["published"]) == {""}
    assert "adversarial: trained without color" in set(table["what"])
    assert "units described as color" in set(table["what"])
    assert (tmp_path / "edit-color.md").is_file() and not (tmp_path / "edit.md").exists()


def test_published_numbers_are_those_of_the_shared_file():
    known = pd.read_csv(summary.PUBLISHED)
    assert known["value"].tolist() == [58.8, 80.8, 4.9, 213, 142]


def test_what_is_made_once(tmp_path):
    target = tmp_path / "thing"
    assert scenes.is_missing(target, seed=1)
    target.mkdir()
    assert (
        scenes.is_missing(target, seed=1) and not target.exists()
    )  # no note: it may be unfinished
    target.mkdir()
    scenes.record_settings(target, seed=1)
    assert not scenes.is_missing(target, seed=1)
    assert scenes.is_missing(target, seed=2) and not target.exists()


@pytest.mark.slow
def test_all_three_from_training_on(tmp_path, monkeypatch):
    small = scenes.TrialScale(classes=3, train=16, validation=4, test=4, epochs=1, noise=10.0, k=3)
    for module in (scenes, running):
        monkeypatch.setattr(module, "EDITING", small)
        monkeypatch.setattr(module, "AUDITING", replace(small, train=8))
    # Words that some but not all descriptions hold, whatever an untrained network responds to.
    monkeypatch.setattr(running, "TEXT", ("shapes", "text", "letters", "words", "stripes"))
    monkeypatch.setattr(running, "FACES", ("shapes", "text", "letters", "faces", "stripes"))
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    real = described.lessons
    monkeypatch.setattr(described, "lessons", lambda k: real(scenes=40, k=k))
    for what in ("edit", "analyze", "audit"):
        arguments = [
            "trials",
            what,
            "--seeds",
            "1",
            "--out",
            str(tmp_path / "out"),
            "--device",
            "cpu",
        ]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        assert (tmp_path / "out" / f"{what}.md").is_file()
        assert json.loads((tmp_path / "out" / "seed-10" / f"{what}.json").read_text())
    arguments = ["trials", "edit", "--cue", "color", "--seeds", "1", "--out",
                 str(tmp_path / "out"), "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    coloured = json.loads((tmp_path / "out" / "seed-10" / "edit-color.json").read_text())
    assert coloured["cue"] == "color" and coloured["units"] == 248
    assert "trained without color" in (tmp_path / "out" / "edit-color.md").read_text()
    assert (tmp_path / "out" / "edit.md").is_file()  # that of text is still there
    reports = {p.parent.name for p in Path(tmp_path, "out").rglob("report.html")}
    assert reports == {
        "edit", "edit-plain", "analysis", "audit", "edit-color", "edit-plain-color"
    }  # fmt: skip
    program = tmp_path / "out" / "seed-10" / "edit" / "edited"
    assert not program.exists() or (program / "weights.pt").is_file()
