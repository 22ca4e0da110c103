"""The checks, on metrics that are known to be good or bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.harness import describe, fixed_predictions, make_task, score
from benchmark.metrics.base import MeanMetric, References
from benchmark.metrics.content import ContentOverlap
from benchmark.metrics.corrected import Corrected
from benchmark.metrics.identification import Identification
from benchmark.references import leave_one_out
from benchmark.result import Method, MetricInfo
from benchmark.sanity import adversaries
from benchmark.sanity.best_constant import best_constant
from benchmark.sanity.check_results import read_reports
from benchmark.sanity.check_tables import markdown_table
from benchmark.sanity.checks import CHECKS
from benchmark.sanity.ladder import ladder
from benchmark.sanity.suite import check_metrics
from benchmark.text_encoders import PACKAGED
from leaderboard.definition import BoardDefinition, SplitDefinition
from leaderboard.hub.push import push
from leaderboard.render import render
from milannotations.annotations import to_dataset
from milannotations.cli import app
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from tests.benchmark.made_up import Mean

THINGS = ("dog", "wheel", "tree", "fish", "lamp", "car", "bird", "cloud", "shoe", "door", "cup")


def task(neurons: int = 22):
    """Neurons of two layers: each has its thing, and all mostly say 'objects' too."""
    annotations = {}
    for i in range(neurons):
        thing = THINGS[i % len(THINGS)]
        annotations[NeuronKey("m", "d", f"l{i % 2}", i)] = [
            f"{thing} objects", f"many objects with {thing}", f"bright {thing} things"
        ]  # fmt: skip
    return make_task("made-up", to_dataset(annotations))


class Exact(MeanMetric):
    """Worth 1 where the description names the thing of the references, less what is false."""

    name = "exact"
    info = MetricInfo(title="Exact")
    signature = "exact"

    def statistics(self, references, predictions):
        found = {}
        for name, by_fold in predictions.items():
            sums = np.zeros((references.neurons, 2))
            for texts, fold in zip(by_fold, references.folds, strict=True):
                for i, (text, targets) in enumerate(zip(texts, fold.references, strict=True)):
                    words = set(text.split())
                    named = {t for t in THINGS if t in words}
                    true = {t for t in THINGS if any(t in r.split() for r in targets)}
                    whole = "objects" in words or "things" in words
                    value = len(named & true) / len(named) if named else 0.0
                    sums[i] += value * (1 if whole else 0.8), 1
            found[name] = sums
        return found


def test_adversaries_by_hand() -> None:
    of = References(
        leave_one_out([["the red dogs run", "a"], ["two cats", "b"], ["sky", "c"]]), ["l", "l", "k"]
    )
    first = {name: make(of, 0)[0] for name, make in adversaries.ADVERSARIES.items()}
    assert adversaries.human(of)[0] == ["the red dogs run", "two cats", "sky"]
    assert first["truncated"] == ["the red", "two", "sky"]
    assert first["repeated"][2] == "sky sky sky"
    assert first["neighbour"] == ["two cats", "the red dogs run", "sky"]
    assert adversaries.reassigned(of, 0)[0] == ["two cats", "the red dogs run", "sky"]
    assert first["extra"][2] == "sky and sky"
    assert len(first["missing"][0].split()) == 3 and "the" in first["missing"][0]
    assert first["negated"][2] in ("not sky", "no sky", "anything but sky")
    assert "sky" in first["paraphrased"][2] and first["paraphrased"][2] != "sky"
    assert len(set(first["all-words"])) == 1
    assert {"red", "dogs", "cats", "sky"} <= set(first["all-words"][0].split())
    assert adversaries.constants(of)[0] == "a"
    assert {"two cats", "dogs"} <= set(adversaries.constants(of))


def test_a_metric_that_reads_meaning_passes_and_one_that_counts_words_does_not() -> None:
    of = task()
    report = check_metrics(of, [Exact(), ContentOverlap(), Corrected(ContentOverlap())])
    good, bad, corrected = (report.metrics[n] for n in ("exact", "content", "content-corrected"))
    failed = {name for name, outcome in good.checks.items() if not outcome.passed}
    # Frames and repetitions leave the thing named; "not a dog" still names the dog.
    assert good.tells_people and failed <= {"negated", "missing", "truncated"}
    assert bad.checks["constant"].value > 0.3 and not bad.checks["constant"].passed
    assert "objects" in bad.checks["constant"].detail
    assert not bad.passed
    assert corrected.checks["constant"].value == pytest.approx(0, abs=0.3)
    assert corrected.human == pytest.approx(1, abs=1e-9)
    assert set(good.checks) == {check.name for check in CHECKS}


def test_a_metric_without_any_signal_may_not_rank() -> None:
    class Random(Mean):
        name = "random"

        def statistics(self, references, predictions):
            rng = np.random.default_rng(0)
            return {
                n: np.stack([rng.random(references.neurons), np.ones(references.neurons)], 1)
                for n in predictions
            }

    found = check_metrics(task(), [Random()]).metrics["random"]
    assert not found.tells_people and not found.passed
    assert not any(outcome.passed for outcome in found.checks.values())


def test_the_search_finds_the_best_constant() -> None:
    of = task().references
    metric = ContentOverlap()
    candidates = adversaries.constants(of)
    values = {}
    for text in candidates:
        statistics = metric.statistics(of, {"": [[text] * of.neurons] * len(of.folds)})[""]
        values[text] = float(metric.aggregate(statistics.sum(0)))
    found = best_constant(metric, of, candidates)
    assert found.value == pytest.approx(max(values.values()))
    assert values[found.text] == found.value
    assert found.tried == len(candidates)
    with pytest.raises(ValueError, match="no constants"):
        best_constant(metric, of, [])


def test_the_search_in_rounds_comes_near(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.sanity import best_constant as constants

    of = task(44).references
    metric = ContentOverlap()
    whole = best_constant(metric, of, adversaries.constants(of))
    monkeypatch.setattr(constants, "ROUNDS", ((12, 10), (30, 3)))
    assert best_constant(metric, of, adversaries.constants(of)).value >= 0.7 * whole.value


def test_ladders_of_a_metric_that_likes_constants() -> None:
    human, wrong, constant = (np.stack([np.full(50, v), np.ones(50)], 1) for v in (0.5, 0.2, 0.6))
    found = ladder(Mean(), human, wrong, constant)
    assert found == {"others": pytest.approx(1.0), "constant": pytest.approx(-1.0)}
    assert ladder(Mean(), human, human, human) == {}


def test_reports_are_kept_and_bad_ones_named(tmp_path: Path) -> None:
    report = check_metrics(task(), [ContentOverlap()])
    path = report.save(tmp_path)
    assert read_reports(tmp_path) == {"made-up": report}
    assert "| Content F1 | ✓ |" in markdown_table(report)
    path.write_text('{"split": 3}')
    with pytest.raises(InputError, match=r"made-up\.json: .*metrics"):
        read_reports(tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_reports(tmp_path)


def test_a_board_is_not_ranked_by_a_metric_that_fails(tmp_path: Path) -> None:
    of = task()
    metrics = [ContentOverlap(), Identification(PACKAGED)]
    predictions = {
        ("oracle", "made-up"): describe(create("oracle"), of),
        ("mine", "made-up"): fixed_predictions(of, ["objects"] * 22),
    }
    methods = {n: Method(name=n, title=n) for n in ("oracle", "mine")}
    for one in score(methods, [of], predictions, metrics).values():
        one.save(tmp_path)
    out = tmp_path / "site"
    page = render(tmp_path, {}, out, main_metric="content")
    assert 'id="sanity"' not in page.read_text()
    check_metrics(of, metrics).save(tmp_path)
    definition = BoardDefinition(
        name="made", version=1, title="made", main_metric="content", main_split="made-up",
        metrics=("content",), sentence_encoder="none", bertscore_encoder="none",
        splits=(SplitDefinition(name="made-up", source="nowhere"),), folder=tmp_path,
    )  # fmt: skip
    with pytest.raises(InputError, match="Content F1 may not rank"):
        push(tmp_path, definition=definition, repo_id="user/board", dry_run=True)
    with pytest.raises(InputError, match=r"Content F1 may not rank .*fails constant"):
        render(tmp_path, {}, out, main_metric="content")
    render(tmp_path, {}, out, main_metric="identification")
    html = page.read_text()
    assert 'id="sanity"' in html and "best of" in html
    # The checks hold for the original's protocol too, whose columns have signatures of their own.
    whole = make_task(of.name, of.neurons, "original")
    texts = {("mine", "made-up"): fixed_predictions(whole, ["objects"] * 22)}
    folder = tmp_path / "original"
    for one in score({"mine": methods["mine"]}, [whole], texts, [ContentOverlap()]).values():
        one.save(folder)
    shutil.copytree(tmp_path / "sanity", folder / "sanity")
    with pytest.raises(InputError, match="Content F1 may not rank"):
        render(folder, {}, tmp_path / "other", main_metric="content")


def test_the_command_on_the_demo(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["sanity", "demo", "--split", "test", "--metric", "identification", "--metric", "content",
         "--encoder", PACKAGED, "--out", str(tmp_path), "--markdown", str(tmp_path / "t.md"),
         "--device", "cpu"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = read_reports(tmp_path)["test"]
    assert report.metrics["identification"].passed
    assert report.metrics["identification"].ladder["constant"] >= 0.9
    assert not report.metrics["content"].passed
    assert "Identification AUC" in (tmp_path / "t.md").read_text()


@pytest.mark.slow
def test_on_real_annotations_identification_passes_and_the_papers_metrics_fail(
    shared_data: Path,
) -> None:
    """On the 256 units of a layer; the documentation has all 3,904."""
    from benchmark.metrics.bleu import Bleu
    from benchmark.metrics.sentence import SentenceSimilarity
    from milannotations.annotations import read_annotations

    annotations = read_annotations(shared_data / "milannotations_resnet152_imagenet.csv")
    of = make_task(
        "real", to_dataset({k: t for k, t in annotations.items() if k.layer == "layer1"})
    )
    metrics = [Identification(PACKAGED), Bleu(1), Bleu(), SentenceSimilarity(PACKAGED)]
    report = check_metrics(of, metrics)
    passed = {name for name, one in report.metrics.items() if one.passed}
    assert passed == {"identification"}
    assert report.metrics["similarity"].checks["constant"].value > 1
    assert report.metrics["bleu-1"].ladder["constant"] < -0.9
    assert report.metrics["identification"].ladder["constant"] >= 0.9
