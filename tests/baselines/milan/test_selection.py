"""What is kept of a training: the epoch, the weight of p(d), and a warning where nothing is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.features.encoder import PyramidEncoder, encoder_spec
from baselines.milan.config import MilanSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.examples import Examples, examples_of
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.pmi_weight import (
    PAPER_WEIGHT,
    WEIGHTS,
    WeightChoice,
    WordVectors,
    choose_weight,
    chosen,
    descriptions,
)
from baselines.milan.stage import Stage
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from baselines.milan.validation import degenerate, greedy_descriptions
from benchmark.tokenization import normalize
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.notices import Notice
from milannotations.record import NeuronKey
from tests.baselines.milan.made_up import some_features, tiny_encoder, tiny_model

SMALL = {
    "spec": MilanSpec(
        decoder=DecoderSpec(embedding=8, hidden=24),
        language_model=LanguageModelSpec(embedding=8, hidden=16),
    )
}
SHORT = ["red dots", "blue dots", "red lines", "blue lines"]


def short_labels(count: int = 40) -> Examples:
    """Return neurons of two-word annotations, which their features give away."""
    generator = torch.Generator().manual_seed(0)
    texts = [[SHORT[i % 4]] for i in range(count)]
    signal = torch.eye(4).repeat(count // 4, 1)
    features = torch.cat([signal, torch.zeros(count, 2)], 1)[:, None].repeat(1, 3, 1)
    features = features + 0.1 * torch.randn(features.shape, generator=generator)
    return Examples(features, texts, [NeuronKey("m", "d", "l", unit) for unit in range(count)])


def staged(numbers: list[tuple[float, float]], patience: int) -> tuple[Stage, list[torch.Tensor]]:
    """Return a stage whose epochs have these BLEU and losses, and its weights after each."""
    module = torch.nn.Linear(1, 1)
    values = iter(numbers)
    seen: list[torch.Tensor] = []

    def evaluate() -> dict[str, float]:
        seen.append(module.weight.detach().clone())
        bleu, loss = next(values)
        return {"bleu": bleu, "loss": loss}

    stage = Stage(
        "test", module, lambda order: [torch.rand(4, 1, generator=order)],
        lambda batch: module(batch).sum(), evaluate,
        TrainingConfig(epochs=len(numbers), patience=patience),
        rank=lambda n: (n["bleu"], -n["loss"]),
    )  # fmt: skip
    return stage, seen


@pytest.mark.parametrize(
    ("numbers", "best", "run"),
    [
        ([(0, 3), (0, 2), (0, 1), (0, 2)], 3, 4),  # BLEU is 0 throughout
        ([(9, 3), (9, 4), (9, 2), (8, 1)], 3, 4),  # tied, not 0
        ([(9, 3), (9, 3), (9, 3), (9, 3), (9, 3)], 1, 3),  # equal in both: no improvement
        ([(0, 1), (5, 9), (0, 0.5), (4, 0.1), (3, 0)], 2, 4),  # BLEU counts first
    ],
)
def test_the_loss_decides_where_bleu_is_tied(
    numbers: list[tuple[float, float]], best: int, run: int
) -> None:
    stage, seen = staged(numbers, patience=1)
    assert len(stage.run()) == run
    assert stage.best_epoch == best
    assert torch.equal(stage.module.weight, seen[best - 1])  # type: ignore[arg-type]


def test_numbers_that_are_none_are_refused() -> None:
    stage, _ = staged([(0, 1), (float("nan"), 1)], patience=3)
    with pytest.raises(InputError, match="bleu nan after epoch 2; lower the learning rate"):
        stage.run()


def test_short_labels_do_not_end_in_the_first_epoch(tmp_path: Path) -> None:
    """BLEU-4 of two words is 0: stopping on it must do what stopping on the loss does."""
    learn = short_labels()
    facts, states = [], []
    for stop_on in ("bleu", "loss"):
        options = TrainingConfig(
            epochs=30, patience=3, batch_size=8, learning_rate=1e-2, stop_on=stop_on, pmi=0.2
        )
        model = train(learn, tiny_encoder(), tmp_path / stop_on, options=options, **SMALL)
        facts.append(model.config.training)
        states.append(model.state_dict())
    assert facts[0]["validation_bleu"] == 0
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    history = json.loads((tmp_path / "bleu" / "training.json").read_text())
    losses = [epoch["validation_loss"] for epoch in history["decoder"]]
    for fact in facts:
        assert fact["epochs"] == len(losses)
        assert fact["language_model_epochs"] == len(history["language model"])
        assert fact["best_epoch"] == int(np.argmin(losses)) + 1 > 1
        assert fact["max_epochs"] == 30
        assert fact["distinct_validation_descriptions"] > 1 and "warning" not in fact


def test_a_model_that_says_one_thing_is_a_warning(tmp_path: Path) -> None:
    learn = short_labels()
    blind = Examples(torch.zeros_like(learn.features), learn.texts, learn.keys)
    options = TrainingConfig(epochs=2, batch_size=64, hold_out=0.3)
    with pytest.warns(Notice, match="of all 12 held-out neurons.*Train it on more annotated"):
        model = train(blind, tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    facts = model.config.training
    assert facts["distinct_validation_descriptions"] == 1
    assert "has not learnt" in facts["warning"]
    assert "has not learnt" in (tmp_path / "m" / "README.md").read_text()


def test_what_counts_as_saying_nothing() -> None:
    different = [["a dog"], ["a cat"]]
    assert degenerate(["a dog", "a cat"], different) is None
    assert degenerate(["dogs", "cats"], different) is None
    assert "all 2 held-out" in str(degenerate(["a dog", "a dog"], different))
    assert "the only word" in str(degenerate(["dog", "dog dog"], different))
    assert "annotations that differ" in str(degenerate(["dog", "dog"], [["dog"], ["Dog."]]))
    assert degenerate(["dog"], [["cat"]]) is None  # nothing can be said of one neuron


def test_the_rule_for_the_weight() -> None:
    values = np.full((3, 100), 0.5)
    assert chosen(values, (0.0, 0.2, 0.5)).chosen == 0.2  # all alike: the paper's
    values[2, :50] = 0.6  # better by .05, with an error of .005
    choice = chosen(values, (0.0, 0.2, 0.5))
    assert choice.chosen == 0.5 and choice.identification == (0.5, 0.5, 0.55)
    assert choice.errors[1] == pytest.approx(np.std([0.1] * 50 + [0.0] * 50, ddof=1) / 10, abs=1e-4)
    assert "0.550; 0.2, the paper's, 0.500, 0.050 ± 0.005 less" in choice.reason
    tied = np.array([[0.6, 0.7], [0.5, 0.6], [0.7, 0.6]])
    assert chosen(tied, (0.0, 0.2, 0.5)).chosen == 0.0  # nearer to .2 than .5
    assert chosen(tied, (0.1, 0.2, 0.3)).chosen == 0.1  # as near as .3, and smaller


def test_word_vectors_by_hand() -> None:
    vectors = WordVectors(["red dots", "red lines", "red", "objects"])
    first, second, third = vectors.encode(["red dots", "red", "dots dots red"])
    red, dots = np.log(5 / 4), np.log(5 / 2)
    assert first @ second == pytest.approx(red / np.hypot(red, dots))
    assert first @ third == pytest.approx(
        (red**2 + 2 * dots**2) / np.hypot(red, dots) / np.hypot(red, 2 * dots)
    )
    assert not WordVectors(["objects"]).encode(["objects"]).any()  # said of all: worth nothing


def test_one_search_gives_what_each_weight_gives() -> None:
    model, features = tiny_model(4), some_features(12)
    keys = [NeuronKey("m", "d", "l", unit) for unit in range(12)]
    rows = Examples(features, [["red"]] * 12, keys).subset(range(12))
    weights = (0.0, 0.2, 0.7)
    found = descriptions(model, rows, range(12), Decoding(beam=8), weights)
    assert len({tuple(texts) for texts in found}) > 1
    for weight, texts in zip(weights, found, strict=True):
        how = Decoding(strategy="rerank" if weight else "beam", pmi=weight, beam=8)
        greedy = model.describe_features(keys, features, how)
        assert texts == [normalize(description.text) for description in greedy]


def test_the_weight_is_chosen_on_held_out_neurons_and_told(tmp_path: Path) -> None:
    learn = short_labels(80)
    options = TrainingConfig(epochs=12, batch_size=16, learning_rate=1e-2, hold_out=0.25)
    model = train(learn, tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    choice = WeightChoice.model_validate(model.config.training["pmi_choice"])
    assert choice.weights == WEIGHTS and choice.neurons == 20
    assert model.config.decoding == Decoding(pmi=choice.chosen)
    # The same choice is made again of the neurons that the folder names as held out.
    with (tmp_path / "m" / "held_out.csv").open() as file:
        held = [int(row["unit"]) for row in csv.DictReader(file)]
    loaded = Milan.from_pretrained(tmp_path / "m", "cpu")
    taught = learn.subset([row for row in range(80) if row not in held])
    assert choose_weight(loaded, taught, learn.subset(held), Decoding()) == choice
    assert json.loads((tmp_path / "m" / "training.json").read_text())["pmi"]["chosen"] == (
        choice.chosen
    )
    assert f"| pmi choice | {choice.chosen:g}, best of 9" in (tmp_path / "m/README.md").read_text()


def test_a_weight_that_is_given_is_not_chosen(tmp_path: Path) -> None:
    learn = short_labels()
    once = {"epochs": 1, "hold_out": 0.3}
    fixed = train(
        learn, tiny_encoder(), tmp_path / "fixed", options=TrainingConfig(**once, pmi=0.7), **SMALL
    )
    assert fixed.config.decoding == Decoding(pmi=0.7)
    assert fixed.config.training["pmi_choice"] == "fixed"
    named = train(
        learn, tiny_encoder(), tmp_path / "named", options=TrainingConfig(**once),
        spec=SMALL["spec"].model_copy(update={"decoding": VARIANTS["mi-beam"]}),
    )  # fmt: skip
    assert named.config.decoding == VARIANTS["mi-beam"]
    few = train(learn, tiny_encoder(), tmp_path / "few", options=TrainingConfig(epochs=1), **SMALL)
    assert few.config.decoding.pmi == PAPER_WEIGHT
    assert "4 held-out neurons" in few.config.training["pmi_choice"]["reason"]
    with pytest.raises(InputError, match="needs a language model"):
        train(
            learn, tiny_encoder(), tmp_path / "none", options=TrainingConfig(pmi=0.2),
            spec=SMALL["spec"].model_copy(update={"language_model": None}),
        )  # fmt: skip


def test_descriptions_for_the_warning_are_the_greedy_ones() -> None:
    model, features = tiny_model(2), some_features(6)
    keys = [NeuronKey("m", "d", "l", unit) for unit in range(6)]
    descriptions = greedy_descriptions(
        model, Examples(features, [["red"]] * 6, keys).subset([4, 1])
    )
    whole = model.describe_features(keys, features, VARIANTS["greedy"])
    assert descriptions == [normalize(whole[4].text), normalize(whole[1].text)]


@pytest.mark.slow
def test_two_word_annotations_of_the_demo(tmp_path: Path) -> None:
    """As a user trains: the first two words of each annotation, with early stopping by BLEU."""
    neurons = load_split("demo", "train")
    texts = [
        [" ".join(text.split()[:2]) for text in descriptions]
        for descriptions in neurons["annotations"]
    ]
    encoder = PyramidEncoder(encoder_spec("efficientnet_lite0"))
    learn = examples_of(encoder, neurons, work=tmp_path / "work")
    learn = Examples(learn.features, texts, learn.keys)
    kept = []
    for stop_on in ("bleu", "loss"):
        options = TrainingConfig(stop_on=stop_on, batch_size=16, epochs=8, pmi=0.2)
        model = train(
            learn, encoder, tmp_path / stop_on, options=options,
            spec=MilanSpec(
                decoder=DecoderSpec(hidden=64), language_model=LanguageModelSpec(hidden=64)
            ),
        )  # fmt: skip
        facts = model.config.training
        assert facts["best_epoch"] > 1 and facts["epochs"] == 8
        assert facts["distinct_validation_descriptions"] > 1
        kept.append((facts["best_epoch"], facts["validation_bleu"], facts["validation_loss"]))
    assert kept[0] == kept[1] and kept[0][1] == 0
