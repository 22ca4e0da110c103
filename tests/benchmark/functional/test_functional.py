"""Functional metrics on neurons whose concept is certain, and against the libraries' numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import kendalltau, pearsonr
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from benchmark.contrastive import ContrastiveModel
from benchmark.functional.config import ProbeConfig
from benchmark.functional.metrics import (
    FUNCTIONAL,
    ConceptAuc,
    ConceptDifference,
    ConceptPrecision,
    Probe,
    Simulation,
)
from benchmark.functional.probing import probe_neurons
from benchmark.functional.scorers import ContrastiveScorer, WorldScorer
from benchmark.metrics.base import References
from milannotations.catalog.models import load_model
from milannotations.cli import app
from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.inputs.sources import ImageFolder
from milannotations.loading import load_split
from milannotations.record import NeuronKey, keys_of
from milannotations.worlds import SyntheticNetwork, World, activation_map, synthetic_neurons
from milannotations.worlds.reading import read, shown
from tests.baselines.tiny_transformers import tiny_clip


class Fixed:
    """Scores of texts that are given."""

    signature = "scorer:fixed"

    def __init__(self, table: dict[str, np.ndarray]) -> None:
        self.table = table

    def scores(self, texts):
        return np.stack([self.table[text] for text in texts]).astype(float)

    def positives(self, scores):
        return scores > 0.5


@pytest.fixture(scope="module")
def world() -> World:
    return World(9, 128)


@pytest.fixture(scope="module")
def keys() -> list[NeuronKey]:
    return keys_of(load_split("demo", "test"))


@pytest.fixture(scope="module")
def probe(keys: list[NeuronKey]) -> Probe:
    return probe_neurons(keys, ProbeConfig(images="worlds:9:128"))


def mean(metric, keys, texts) -> float:
    of = References([], ["l"] * len(keys), keys=keys)
    return float(metric.aggregate(metric.statistics(of, {"": [texts]})[""].sum(0)))


def test_metrics_are_the_libraries_own() -> None:
    rng = np.random.default_rng(0)
    key = NeuronKey("m", "d", "l", 0)
    response, score = rng.normal(size=60).round(1), rng.random(60).round(1)
    probe = Probe({key: response.astype(np.float32)}, Fixed({"t": score, "none": np.zeros(60)}))
    response = response.astype(np.float32).astype(float)
    shows = score > 0.5
    spread = response[~shows].std()
    expected = {
        Simulation: pearsonr(response, score).statistic,
        ConceptAuc: roc_auc_score(shows, response),
        ConceptPrecision: average_precision_score(shows, response),
        ConceptDifference: (response[shows].mean() - response[~shows].mean()) / spread,
    }
    assert set(expected) == set(FUNCTIONAL)
    for kind, value in expected.items():
        assert mean(kind(probe), [key], ["t"]) == pytest.approx(value, abs=1e-9)
        assert mean(kind(probe), [key], ["none"]) == kind.chance_value
    dead = Probe({key: np.zeros(60, dtype=np.float32)}, Fixed({"t": score}))
    assert mean(ConceptAuc(dead), [key], ["t"]) == 0.5
    with pytest.raises(InputError, match="no responses of neuron m-d l:1"):
        mean(Simulation(probe), [key._replace(unit=1)], ["t"])


def test_missing_and_extra_labels_cost() -> None:
    """The tests of Oikarinen et al. (2025) on concept labels: half are lost, or as many added.

    A neuron that responds to its concept alone. As they found, the AUC does not notice labels that
    are missing; correlation and average precision notice both.
    """
    rng = np.random.default_rng(1)
    truth = np.zeros(400)
    truth[rng.permutation(400)[:80]] = 1
    response = truth * 2 + rng.normal(0, 0.2, 400)
    missing, extra = truth.copy(), truth.copy()
    missing[np.flatnonzero(truth)[::2]] = 0
    extra[np.flatnonzero(truth == 0)[:80]] = 1
    key = NeuronKey("m", "d", "l", 0)
    scorer = Fixed({"truth": truth, "missing": missing, "extra": extra})
    probe = Probe({key: response.astype(np.float32)}, scorer)
    found = {k: {t: mean(k(probe), [key], [t]) for t in scorer.table} for k in FUNCTIONAL}
    for kind in (Simulation, ConceptPrecision):
        assert found[kind]["missing"] < 0.8 * found[kind]["truth"]
        assert found[kind]["extra"] < 0.8 * found[kind]["truth"]
    assert found[ConceptAuc]["extra"] < 0.9 < found[ConceptAuc]["truth"]
    assert found[ConceptAuc]["missing"] > 0.8


def test_every_reference_is_read_as_its_concept() -> None:
    for seed in (0, 1):
        for neuron in synthetic_neurons(seed):
            for text in neuron.references:
                assert read(f" {text.capitalize()}. ").key == neuron.concept.key
    assert read("something else") is None


def test_what_is_shown_is_exact_for_sentences_and_a_share_for_labels(world: World) -> None:
    for index in range(12):
        scene = world.scene(index)
        reds = [o for o in scene.objects if o.colour == "red"]
        circles = [o for o in scene.objects if o.shape == "circle"]
        assert shown("objects", scene) == 1
        assert shown("nothing in particular", scene) == 0
        # A visible one: objects hardly overlap, and small ones lie in front of large ones.
        assert shown("circles", scene) == float(bool(circles))
        both = any(o.colour == "red" for o in circles)
        assert shown("(circle AND red)", scene) == (1 if both else 0.5 * bool(reds or circles))
        assert shown("a qwerty", scene) == 0


def test_responses_are_the_maps_peaks(world: World) -> None:
    neurons = [n for n in synthetic_neurons() if n.layer == "coarse"][:4]
    network = SyntheticNetwork(neurons, world)
    found = responses(network, ["coarse"], world, batch_size=50)["coarse"]
    assert found.shape == (128, 4)
    for index in (0, 60, 127):
        maps = [activation_map(neuron, world, index, 7) for neuron in neurons]
        assert found[index].tolist() == pytest.approx([float(m.max()) for m in maps])
    averages = responses(network, ["coarse"], world, reduction="mean")["coarse"]
    assert averages[3, 0] == pytest.approx(activation_map(neurons[0], world, 3, 7).mean())


def test_the_truth_predicts_and_nothing_else_does(probe: Probe, keys: list[NeuronKey]) -> None:
    truth = [texts[0] for texts in load_split("demo", "test")["annotations"]]
    shuffled = list(np.random.default_rng(0).permutation(truth))
    for kind, least in ((Simulation, 0.75), (ConceptAuc, 0.95), (ConceptPrecision, 0.9)):
        assert mean(kind(probe), keys, truth) > least
        assert mean(kind(probe), keys, shuffled) < 0.6
        assert mean(kind(probe), keys, ["objects"] * len(keys)) == kind.chance_value
    assert abs(mean(Simulation(probe), keys, shuffled)) < 0.1


def test_a_ladder_of_corrupted_truths_is_ranked_rightly(
    probe: Probe, keys: list[NeuronKey]
) -> None:
    truth = np.array([texts[0] for texts in load_split("demo", "test")["annotations"]], object)
    others = np.roll(truth, 13)
    rungs = np.linspace(0, 1, 11)
    for worse in (others, np.full(len(truth), "objects", object)):
        for kind in (Simulation, ConceptAuc, ConceptPrecision):
            agreements = []
            for seed in range(3):
                order = np.random.default_rng(seed).permutation(len(truth))
                values = []
                for rung in rungs:
                    texts = truth.copy()
                    gone = order[: round(rung * len(order))]
                    texts[gone] = worse[gone]
                    values.append(mean(kind(probe), keys, texts.tolist()))
                agreements.append(kendalltau(-rungs, values).statistic)
            assert np.mean(agreements) >= 0.9


def test_images_and_texts_in_clips_space(tmp_path: Path) -> None:
    clip = ContrastiveModel(str(tiny_clip(tmp_path / "clip")))
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(10):
        pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    loaded = load_model("efficientnet_lite0", "random")
    source = ImageFolder(folder, loaded.preprocessing)
    scorer = ContrastiveScorer(clip, source, share=0.2)
    texts = ["red circle", "dog", "red circle"]
    scores = scorer.scores(texts)
    expected = clip.texts(texts) @ clip.images([source.image(i) for i in range(10)]).T
    assert np.allclose(scores, expected.numpy(), atol=1e-5)
    shows = scorer.positives(scores)
    assert shows.sum(1).tolist() == [2, 2, 2]
    assert (scores[shows].reshape(3, 2).min(1) >= np.where(shows, -9, scores).max(1)).all()
    assert str(tmp_path) not in scorer.signature
    keys = [NeuronKey("efficientnet_lite0", "", "_blocks.3", unit) for unit in (0, 5)]
    torch.manual_seed(0)
    config = ProbeConfig(images=str(folder), weights="random", clip=str(tmp_path / "clip"))
    probe = probe_neurons(keys, config)
    assert probe.responses[keys[1]].shape == (10,)
    with pytest.raises(InputError, match="40 units"):
        probe_neurons([keys[0]._replace(unit=99)], config)


@pytest.mark.parametrize(
    ("images", "message"),
    [("worlds:9", "worlds:SEED:SCENES"), ("folder", "name --clip")],
)
def test_mistakes_are_said(images: str, message: str, keys: list[NeuronKey]) -> None:
    with pytest.raises(InputError, match=message):
        probe_neurons(keys, ProbeConfig(images=images))
    with pytest.raises(InputError, match="coarse:9999"):
        probe_neurons(
            [keys[0]._replace(layer="coarse", unit=9999)], ProbeConfig(images="worlds:9:40")
        )


def test_the_command(tmp_path: Path, keys: list[NeuronKey]) -> None:
    some = keys[::6]
    truth = dict(zip(keys, load_split("demo", "test")["annotations"], strict=True))
    for name, texts in (("good", [truth[k][0] for k in some]), ("bad", ["objects"] * len(some))):
        pd.DataFrame(some).assign(description=texts).to_csv(tmp_path / f"{name}.csv", index=False)
    done = CliRunner().invoke(
        app,
        ["functional", str(tmp_path / "good.csv"), str(tmp_path / "bad.csv"),
         "--images", "worlds:9:64", "--out", str(tmp_path / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    from benchmark.result import read_result

    good = read_result(tmp_path / "out" / "good.json").splits["functional"].scores
    bad = read_result(tmp_path / "out" / "bad.json").splits["functional"].scores
    assert good["simulation"].value > 0.7
    assert bad["simulation"].value == 0
    assert good["simulation"].n == len(some)
    assert "scorer:truth" in good["simulation"].signature
    assert WorldScorer(World(9, 64)).signature in good["simulation"].signature
