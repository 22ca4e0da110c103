"""One reference held out, or all at once as the MILAN paper's code has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sacrebleu
from typer.testing import CliRunner

import milannotations
from benchmark.harness import describe, fixed_predictions, make_task, score
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.corrected import Corrected
from benchmark.metrics.rouge_pairs import RougePairs
from benchmark.references import all_at_once, check_protocol, scorable
from benchmark.result import Method
from benchmark.sanity.suite import check_metrics
from benchmark.text_encoders import PACKAGED
from benchmark.tokenization import normalize
from milannotations.annotations import read_descriptions, to_dataset
from milannotations.cli import app
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of

# Descriptions of the demo's synthetic test neurons.
DESCRIPTIONS = Path(__file__).parent / "cases" / "all_references.csv"


@pytest.fixture(scope="module")
def annotations() -> dict[NeuronKey, list[str]]:
    """The demo's references, by keys that name neither model nor data set."""
    neurons = milannotations.load("demo", "test")
    pairs = zip(keys_of(neurons), neurons["annotations"], strict=True)
    return {NeuronKey("", "", key.layer, key.unit): texts for key, texts in pairs}


@pytest.fixture(scope="module")
def files(annotations, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("references") / "annotations.csv"
    rows = [f'{k.layer},{k.unit},"{text}"' for k, texts in annotations.items() for text in texts]
    path.write_text("\n".join(["layer,unit,summary", *rows]) + "\n")
    return ["--references", str(path), "--descriptions", str(DESCRIPTIONS)]


def scored_file(arguments: list[str], out: Path) -> dict:
    done = CliRunner().invoke(app, ["score", *arguments, "--out", str(out), "--device", "cpu"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads((out / "all_references.json").read_text())["splits"]["annotations"]


def test_the_original_numbers(files: list[str], tmp_path: Path) -> None:
    """Values are those of sacrebleu, bert-score and rouge 1.0.1, called as the original does."""
    names = ["bleu", "bertscore", "rouge-1-pairs", "rouge-2-pairs", "rouge-l-pairs",
             "rouge-2-pairs-precision", "rouge-l-pairs-recall"]  # fmt: skip
    chosen = [argument for name in names for argument in ("--metric", name)]
    split = scored_file(
        [*files, "--encoder", PACKAGED, "--protocol", "original", *chosen], tmp_path
    )
    values = {name: found["value"] for name, found in split["scores"].items()}
    assert values["bleu"] == pytest.approx(23.516303, abs=1e-6)
    assert values["bertscore"] == pytest.approx(0.618842, abs=1e-6)
    assert values["rouge-1-pairs"] == pytest.approx(0.1908638231796166, abs=1e-12)
    assert values["rouge-2-pairs"] == pytest.approx(0.07599546343842462, abs=1e-12)
    assert values["rouge-l-pairs"] == pytest.approx(0.18411945643524982, abs=1e-12)
    assert values["rouge-2-pairs-precision"] == pytest.approx(0.10709617180205416, abs=1e-12)
    assert values["rouge-l-pairs-recall"] == pytest.approx(0.16652392270039335, abs=1e-12)
    assert split["protocol"] == "original"
    assert split["references"] == "all annotations at once"
    for found in split["scores"].values():
        assert found["signature"].endswith("|protocol:original")
    # Nobody is left to be scored as a person.
    assert not (tmp_path / "human.json").exists()
    assert not (tmp_path / "sanity").exists()


def test_one_is_held_out_unless_asked(files: list[str], tmp_path: Path) -> None:
    split = scored_file([*files, "--metric", "bleu", "--no-sanity"], tmp_path)
    assert split["protocol"] == "held-out"
    assert "protocol" not in split["scores"]["bleu"]["signature"]
    assert split["scores"]["bleu"]["value"] < 20
    assert (tmp_path / "human.json").is_file()


def test_bleu_of_all_references_is_sacrebleus(annotations) -> None:
    task = make_task("all", to_dataset(annotations), "original")
    said = read_descriptions(DESCRIPTIONS)
    entry = fixed_predictions(task, [said[key] for key in task.keys])
    method = Method(name="m", title="M")
    (found,) = score({"m": method}, [task], {("m", "all"): entry}, [Bleu()]).values()
    texts = [normalize(said[key]) for key in task.keys]
    references = [[normalize(text) for text in annotations[key]] for key in task.keys]
    expected = sacrebleu.corpus_bleu(texts, list(zip(*references, strict=True)))
    assert found.result.splits["all"].scores["bleu"].value == pytest.approx(expected.score)


def test_numbers_of_references_may_differ() -> None:
    """The original drops references that not all neurons have; here each keeps its own."""
    texts = [["a dog", "Dogs.", "  "], ["cat"], ["", "."]]
    assert scorable(texts, "original") == [0, 1]
    assert scorable(texts) == [0]
    (fold,) = all_at_once(texts[:2])
    assert fold.references == [["a dog", "dogs"], ["cat"]]
    with pytest.raises(ValueError, match="needs an annotation"):
        all_at_once(texts)
    keys = [NeuronKey("", "", "l", unit) for unit in range(3)]
    task = make_task("t", to_dataset(dict(zip(keys, texts, strict=True))), "original")
    entry = fixed_predictions(task, ["dogs", "dog", "x"])
    method = Method(name="m", title="M")
    (found,) = score({"m": method}, [task], {("m", "t"): entry}, [RougePairs("1")]).values()
    # Three pairs: "a dog" 0, "dogs" 1 (up to 1e-8 in the denominator of F1), "cat" 0.
    value = found.result.splits["t"].scores["rouge-1-pairs"].value
    assert value == pytest.approx(1 / 3, abs=1e-8)


def test_empty_texts_are_no_pairs() -> None:
    keys = [NeuronKey("", "", "l", unit) for unit in range(2)]
    task = make_task("t", to_dataset({keys[0]: ["a b"], keys[1]: ["a b", "c"]}), "original")
    entry = fixed_predictions(task, ["a b", "..."])
    (found,) = score(
        {"m": Method(name="m", title="M")}, [task], {("m", "t"): entry}, [RougePairs("l")]
    ).values()
    assert found.result.splits["t"].scores["rouge-l-pairs"].value == pytest.approx(1, abs=1e-7)


def test_what_needs_an_annotation_held_out_says_so(annotations, files: list[str]) -> None:
    some = {key: annotations[key] for key in list(annotations)[:6]}
    task = make_task("t", to_dataset(some), "original")
    with pytest.raises(InputError, match="holds none out"):
        describe(create("oracle"), task)
    with pytest.raises(InputError, match="protocol held-out"):
        check_metrics(task, [Bleu()])
    with pytest.raises(InputError, match="no annotation is held out"):
        Corrected(Bleu()).statistics(
            task.references, {"m": fixed_predictions(task, ["x"] * 6).by_fold}
        )
    with pytest.raises(InputError, match="did you mean 'original'"):
        check_protocol("orginal")
    arguments = ["score", *files, "--protocol", "original", "--metric", "bleu-corrected"]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, InputError)
    assert "take bleu, or the protocol held-out" in str(refused.exception)
