"""Training: it fits, stops at the best, goes on after a kill, and leaves the encoder alone."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import pytest
import torch
from sacrebleu.metrics import BLEU
from safetensors.torch import load_file

from baselines.milan import stage
from baselines.milan.config import MilanSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import Decoding
from baselines.milan.examples import Examples, examples_of, hold_out
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.stage import Stage
from baselines.milan.training import decoder_loss, train
from baselines.milan.training_config import TrainingConfig
from baselines.milan.validation import validation_bleu
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from tests.baselines.milan.made_up import SPEC, neurons, tiny_encoder, tiny_model

SMALL = {
    "spec": MilanSpec(
        decoder=DecoderSpec(embedding=8, hidden=24),
        language_model=LanguageModelSpec(embedding=8, hidden=16),
    )
}
TEXTS = [
    f"{color} {shape} {place}"
    for color in ("red", "blue", "green", "pink", "grey")
    for shape, place in (("dots", "above water"), ("lines", "below the sky"), ("rings", "in rows"),
                         ("eyes", "of some animals"))
]  # fmt: skip


def made_up(count: int = 20, annotations: int = 1, seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 3, 6, generator=generator)
    keys = [NeuronKey("m", "d", "l", unit) for unit in range(count)]
    texts = [[TEXTS[i % 20]] * annotations for i in range(count)]
    return Examples(features, texts, keys)


def test_a_small_model_learns_twenty_neurons_by_heart(tmp_path: Path) -> None:
    learn = made_up()
    options = TrainingConfig(
        epochs=150, patience=150, batch_size=10, learning_rate=1e-2, language_model_batch_size=10
    )
    model = train(
        learn, tiny_encoder(), tmp_path / "model", options=options, validation=learn, **SMALL
    )
    # Without PMI: what has been learnt by heart is most probable, not most informative.
    for name in ("greedy", "beam", "rerank"):
        decoding = Decoding(strategy=name, pmi=0)
        said = [d.text for d in model.describe_features(learn.keys, learn.features, decoding)]
        assert BLEU().corpus_score(said, [[t[0] for t in learn.texts]]).score > 90, name
    assert validation_bleu(model, learn.subset(range(20))) > 90


def test_the_best_epoch_is_restored() -> None:
    """The weights that come back are those of the best value, not of the last."""
    module = torch.nn.Linear(1, 1)
    values = iter([1.0, 5.0, 3.0, 2.0, 1.0, 0.0])
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate() -> dict[str, float]:
        seen.append(copy.deepcopy(module.state_dict()))
        return {"value": next(values)}

    history = Stage(
        "test", module, lambda order: [torch.rand(4, 1, generator=order)],
        lambda batch: module(batch).sum(), evaluate, TrainingConfig(epochs=50, patience=2),
    ).run()  # fmt: skip
    assert len(history) == 5  # the best, then three without improvement
    assert torch.equal(module.weight, seen[1]["weight"])
    assert not torch.equal(module.weight, seen[-1]["weight"])


def same_weights(first: Milan, second: Milan) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, encoder = made_up(30, 2), tiny_encoder()
    options = TrainingConfig(epochs=4, patience=9, batch_size=16)
    whole = train(learn, encoder, tmp_path / "whole", options=options, **SMALL)

    class Killed(BaseException):
        pass

    for stop_at in (2, 4):  # in the language model, then in the middle of the decoder
        epochs = 0

        def on_epoch(name: str, numbers: dict[str, float], stop_at: int = stop_at) -> None:
            nonlocal epochs
            epochs += 1
            if epochs == stop_at:
                raise Killed

        with pytest.raises(Killed):
            train(learn, encoder, tmp_path / "m", options=options, on_epoch=on_epoch, **SMALL)
        assert not (tmp_path / "m").exists()
    trained: list[str] = []
    monkeypatch.setattr(stage.Stage, "_epoch", _recorded(stage.Stage._epoch, trained), raising=True)
    resumed = train(learn, encoder, tmp_path / "m", options=options, **SMALL)
    assert trained == ["decoder", "decoder"]  # the other epochs were not done again
    assert same_weights(whole, resumed)
    loaded = Milan.from_pretrained(tmp_path / "m", "cpu")
    assert same_weights(whole, loaded)
    # Nothing of the training's state stays, and the same call again is refused.
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "README.md", "config.json", "held_out.csv", "model.safetensors", "training.json",
        "vocabulary.json",
    ]  # fmt: skip
    with pytest.raises(InputError, match="not empty"):
        train(learn, encoder, tmp_path / "m", options=options, **SMALL)


def _recorded(inner, trained: list[str]):
    def epoch(self, *arguments):
        trained.append(self.name)
        return inner(self, *arguments)

    return epoch


def test_weights_from_a_file_travel_with_the_model(tmp_path: Path) -> None:
    encoder = tiny_encoder(SPEC.model_copy(update={"weights": str(tmp_path / "mine.pt")}))
    options = TrainingConfig(epochs=1)
    train(made_up(), encoder, tmp_path / "m", options=options, **SMALL)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["encoder"]["weights"] == "included"
    assert str(tmp_path) not in (tmp_path / "m" / "README.md").read_text()
    state = load_file(tmp_path / "m" / "model.safetensors")
    assert torch.equal(state["encoder.0.weight"], encoder.network.state_dict()["0.weight"])


def test_other_data_begin_anew(tmp_path: Path) -> None:
    options = TrainingConfig(epochs=1)

    class Killed(BaseException):
        pass

    def stop(name: str, numbers: dict[str, float]) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(made_up(), tiny_encoder(), tmp_path / "m", options=options, on_epoch=stop, **SMALL)
    other = made_up(seed=5)
    went_on = train(other, tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    anew = train(other, tiny_encoder(), tmp_path / "n", options=options, **SMALL)
    assert same_weights(went_on, anew)


def test_seeds_decide_everything(tmp_path: Path) -> None:
    learn = made_up(30, 2)
    models = [
        train(
            learn, tiny_encoder(), tmp_path / str(number),
            options=TrainingConfig(epochs=2, seed=seed), **SMALL,
        )
        for number, seed in enumerate((0, 0, 1))
    ]  # fmt: skip
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])
    held = [
        {row["unit"] for row in csv.DictReader((tmp_path / str(n) / "held_out.csv").open())}
        for n in range(3)
    ]
    assert held[0] == held[1] != held[2]
    assert len(held[0]) == 3


def test_the_split_is_by_neuron() -> None:
    learn, held = hold_out(50, TrainingConfig(hold_out=0.2, seed=3))
    assert len(held) == 10 and sorted(learn + held) == list(range(50))
    with pytest.raises(InputError, match="leaves 0 for validation"):
        hold_out(4, TrainingConfig(hold_out=0.1))


def test_the_loss_by_hand_and_without_regard_to_padding() -> None:
    model = tiny_model(1)
    features = torch.randn(3, 3, 6, generator=torch.Generator().manual_seed(0))
    texts = ["red", "blue circles and red squares", "red circles"]
    words = model.vocabulary.encode(texts)
    logs, attention = model.decoder(features, words)
    total, count, received = 0.0, 0, []
    for row in range(3):
        length = int((words[row, 1:] != model.vocabulary.pad).sum())
        for at in range(length):
            total -= float(logs[row, at, words[row, at + 1]])
            count += 1
        received.append(attention[row, :length].sum(0))
    regularizer = float(((1 - torch.stack(received)) ** 2).mean())
    loss = float(decoder_loss(model, features, words, 0.5))
    assert loss == pytest.approx(total / count + 0.5 * regularizer, rel=1e-5)
    longer = torch.nn.functional.pad(words, (0, 4), value=model.vocabulary.pad)
    assert float(decoder_loss(model, features, longer, 0.5)) == pytest.approx(loss, rel=1e-5)


def test_gradients_stay_in_the_decoder() -> None:
    encoder, model = tiny_encoder(), tiny_model()
    features = encoder(torch.rand(2, 3, 32, 32))[:, None]
    loss = decoder_loss(model, features, model.vocabulary.encode(["red", "blue squares"]), 1.0)
    loss.backward()
    assert all(p.grad is not None for p in model.decoder.parameters())
    assert all(p.grad is None for p in encoder.parameters())
    assert model.language_model is not None
    assert all(p.grad is None for p in model.language_model.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precisions(tmp_path: Path, precision: str) -> None:
    options = TrainingConfig(epochs=2, precision=precision)
    model = train(made_up(), tiny_encoder(), tmp_path / "m", options=options, **SMALL)
    history = json.loads((tmp_path / "m" / "training.json").read_text())
    losses = [epoch["train_loss"] for epoch in history["decoder"]]
    assert losses[1] < losses[0]
    assert model.decoder.output.weight.dtype == torch.float32


def test_half_precision_needs_cuda(tmp_path: Path) -> None:
    options = TrainingConfig(precision="float16")
    with pytest.raises(InputError, match="take bfloat16"):
        train(made_up(), tiny_encoder(), tmp_path / "m", options=options, **SMALL)


def test_long_descriptions_are_cut_and_no_language_model(tmp_path: Path) -> None:
    learn = made_up()
    long = Examples(learn.features, [[" ".join(["red"] * 40)]] * 20, learn.keys)
    model = train(
        long, tiny_encoder(), tmp_path / "m", options=TrainingConfig(epochs=1, longest=10),
        spec=SMALL["spec"].model_copy(update={"language_model": None}),
    )  # fmt: skip
    assert model.language_model is None and model.config.decoding.pmi == 0
    model.describe_features(long.keys, long.features)
    given, prior = model.log_prob(["red " * 60] * 20, long.features)
    assert torch.isfinite(given).all() and prior is None


def test_neurons_that_teach_nothing() -> None:
    with pytest.raises(InputError, match="none of the neurons is annotated"):
        examples_of(tiny_encoder(), neurons(3))
    partly = neurons(3, annotations=[["red"], [], ["", "blue"]])
    found = examples_of(tiny_encoder(), partly)
    assert found.texts == [["red"], ["blue"]] and found.features.shape == (2, 3, 6)
    assert [key.unit for key in found.keys] == [0, 2]


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    learn = made_up()
    options = TrainingConfig(epochs=3, learning_rate=1e30)
    with pytest.raises(InputError, match="lower the learning rate"):
        train(learn, tiny_encoder(), tmp_path / "m", options=options, **SMALL)


def test_a_damaged_state(tmp_path: Path) -> None:
    place = tmp_path / "state.pt"
    place.write_bytes(b"no state")
    module = torch.nn.Linear(1, 1)
    with pytest.raises(InputError, match="damaged"):
        Stage(
            "s", module, lambda order: [], lambda batch: module(batch), lambda: {"value": 0.0},
            TrainingConfig(), place,
        ).run()  # fmt: skip
