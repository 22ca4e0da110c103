"""Checkpoints in the layout of the original, and captions as its equations give them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from torch import Tensor
from typer.testing import CliRunner

from baselines.milan.checkpoint import PUBLISHED
from baselines.milan.commands import import_app
from baselines.milan.decoding import VARIANTS
from baselines.milan.model import Milan
from milannotations.catalog.models import load_model
from milannotations.errors import InputError
from tests.baselines.milan.made_up import WORDS, log_prob_by_hand, neurons, prior_by_hand

LENGTH, BEAM, HIDDEN, EMBEDDING, WIDTH = 4, 6, 8, 4, 1024
VOCABULARY = len(WORDS) + 4


def node(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"properties": properties, "children": {}, **more}


def indexer(words: tuple[str, ...] = WORDS) -> dict[str, Any]:
    """The vocabulary with its tokenizer, a whole spaCy pipeline, as the original saves them."""
    nlp = spacy.blank("en")
    tokenizer = {
        "nlp": (nlp.config, nlp.to_bytes()), "lemmatize": False, "lowercase": True,
        "ignore_stop": False, "ignore_punct": False,
    }  # fmt: skip
    return node(
        {
            "vocab": node({"tokens": words}), "tokenize": node(tokenizer), "start": True,
            "stop": True, "pad": True, "unk": True, "length": None,
        }
    )  # fmt: skip


def parameters(seed: int = 0) -> dict[str, Tensor]:
    """The state dictionary of a decoder of the original, with the names that it has there."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "init_h.0": (HIDDEN, WIDTH), "init_c.0": (HIDDEN, WIDTH),
        "attend.query_to_hidden": (HIDDEN, HIDDEN), "attend.key_to_hidden": (HIDDEN, WIDTH),
        "attend.output.0": (1, HIDDEN), "feature_gate.0": (WIDTH, HIDDEN),
        "output.1": (VOCABULARY, HIDDEN), "lm.output.0": (VOCABULARY, HIDDEN),
    }  # fmt: skip
    state: dict[str, Tensor] = {}
    for name, (rows, columns) in shapes.items():
        scale = 2 / columns**0.5
        state[f"{name}.weight"] = scale * torch.randn(rows, columns, generator=generator)
        state[f"{name}.bias"] = torch.randn(rows, generator=generator)
    for name in ("embedding.weight", "lm.embedding.weight"):
        state[name] = torch.randn(VOCABULARY, EMBEDDING, generator=generator)

    def lstm(prefix: str, suffix: str, inputs: int) -> None:
        for kind, width in (("ih", inputs), ("hh", HIDDEN)):
            weight = torch.randn(4 * HIDDEN, width, generator=generator) / width**0.5
            state[f"{prefix}.weight_{kind}{suffix}"] = weight
            state[f"{prefix}.bias_{kind}{suffix}"] = torch.zeros(4 * HIDDEN)

    lstm("lstm", "", EMBEDDING + WIDTH)
    lstm("lm.lstm", "_l0", EMBEDDING)
    lstm("lm.lstm", "_l1", HIDDEN)
    network = load_model("resnet18", "random").module
    for name, value in network.state_dict().items():
        state[f"encoder.encoder.model.{name}"] = value
    state["encoder.mean"] = torch.zeros(1, 3, 1, 1)
    state["encoder.std"] = torch.ones(1, 3, 1, 1)
    return state


def checkpoint(folder: Path, **changes: Any) -> Path:
    """Write a checkpoint as the original's ``SerializableModule.save`` does."""
    sizes = {"embedding_size": EMBEDDING, "hidden_size": HIDDEN, "dropout": 0.5}
    properties = {
        "indexer": indexer(),
        "encoder": node({"config": "resnet18", "pretrained": True}),
        "lm": node({"indexer": indexer(), "layers": 2, **sizes}),
        "attention_hidden_size": None, "length": LENGTH, "strategy": "rerank",
        "temperature": 0.2, "beam_size": BEAM, **sizes, **changes,
    }  # fmt: skip
    payload = {
        "properties": properties,
        "children": {"encoder": "PyramidConvEncoder"},
        "state_dict": parameters(),
    }
    path = folder / "milan-test.pth"
    torch.save(payload, path)
    return path


def beam_by_hand(model: Milan, features: Tensor, pmi: float = 0.0) -> list[tuple[float, list[int]]]:
    """Beam search one hypothesis after the other: the original's, special tokens and all."""
    stop = model.vocabulary.stop

    def score(tokens: list[int]) -> float:
        given = log_prob_by_hand(model, features, tokens)
        return given - pmi * prior_by_hand(model, tokens) if pmi else given

    beam: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(LENGTH):
        found = []
        for total, tokens in beam:
            if tokens[-1:] == [stop]:
                found.append((total, tokens))
                continue
            extended = [[*tokens, word] for word in range(VOCABULARY)]
            found += [(score(one), one) for one in extended]
        beam = sorted(found, key=lambda one: -one[0])[:BEAM]
    return beam


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


def test_captions_are_those_of_the_originals_equations(path: Path) -> None:
    model = Milan.from_checkpoint(path)
    assert model.config.decoding.model_dump(include={"strategy", "pmi", "beam", "length"}) == {
        "strategy": "rerank", "pmi": 0.2, "beam": BEAM, "length": LENGTH,
    }  # fmt: skip
    features = torch.randn(4, 15, WIDTH, generator=torch.Generator().manual_seed(3))
    limits = {"beam": BEAM, "length": LENGTH}
    found = {
        name: model.search(features, VARIANTS[name].model_copy(update=limits))
        for name in ("greedy", "beam", "rerank", "mi-beam")
    }
    stop = model.vocabulary.stop

    def padded(tokens: list[int]) -> list[int]:
        return tokens + [stop] * (LENGTH - len(tokens))

    for row, one in enumerate(features):
        greedy: list[int] = []
        while len(greedy) < LENGTH and stop not in greedy:
            extended = [[*greedy, word] for word in range(VOCABULARY)]
            greedy = max(extended, key=lambda t: log_prob_by_hand(model, one, t))
        assert found["greedy"].tokens[row, 0].tolist() == padded(greedy)
        beam = beam_by_hand(model, one)
        assert found["beam"].tokens[row].tolist() == [padded(tokens) for _, tokens in beam]
        mutual = beam_by_hand(model, one, 0.2)
        assert found["mi-beam"].tokens[row].tolist() == [padded(tokens) for _, tokens in mutual]
        # The original counts one token more in p(d) wherever there is one, a second stop.
        longest = max(len(tokens) for _, tokens in beam)
        reranked = [
            (total - 0.2 * prior_by_hand(model, [*tokens, stop][: min(len(tokens) + 1, longest)]),
             tokens)
            if tokens[-1] == stop else (total - 0.2 * prior_by_hand(model, tokens), tokens)
            for total, tokens in beam
        ]  # fmt: skip
        reranked.sort(key=lambda pair: -pair[0])
        assert found["rerank"].tokens[row].tolist() == [padded(tokens) for _, tokens in reranked]
        assert float(found["rerank"].scores[row, 0]) == pytest.approx(reranked[0][0], abs=1e-4)


def test_importing_on_the_command_line(path: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(import_app, [str(path), "--out", str(tmp_path / "model")])
    assert done.exit_code == 0, done.output
    assert "5 words, encoder resnet18" in done.output
    loaded, imported = Milan.from_pretrained(tmp_path / "model", "cpu"), Milan.from_checkpoint(path)
    records = neurons(2, k=15, side=64)
    assert loaded.describe(records) == imported.describe(records)
    assert loaded.config.as_original and loaded.config.encoder.weights == "included"
    assert {f"milan-{name}.pth" for name in PUBLISHED} >= {"milan-base.pth", "milan-gen.pth"}


def test_a_checkpoint_without_a_language_model(tmp_path: Path) -> None:
    model = Milan.from_checkpoint(checkpoint(tmp_path, lm=None, strategy=None))
    assert model.language_model is None
    assert (model.config.decoding.strategy, model.config.decoding.pmi) == ("beam", 0)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code was run",)


def test_checkpoints_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"the authors publish http://milan\.csail"):
        Milan.from_checkpoint(tmp_path / "milan-base.pth")
    for payload, message in (
        (Harmful(), "could run code"),
        ({"properties": {"x": Harmful()}}, "could run code"),
        ([1, 2], "holds a list"),
        ({"state_dict": {}}, "has no 'properties'"),
    ):
        torch.save(payload, tmp_path / "file.pth")
        with pytest.raises(InputError, match=message):
            Milan.from_checkpoint(tmp_path / "file.pth")
    (tmp_path / "file.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match="could run code"):
        Milan.from_checkpoint(tmp_path / "file.pth")
    (tmp_path / "file.pth").write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        Milan.from_checkpoint(tmp_path / "file.pth")
    assert "code was run" not in capsys.readouterr().out
    other = node(
        {"indexer": indexer((*WORDS[:-1], "or")), "embedding_size": 4, "hidden_size": 8,
         "layers": 2, "dropout": 0.5}
    )  # fmt: skip
    with pytest.raises(InputError, match="1 words are missing from the second, 1 from the first"):
        Milan.from_checkpoint(checkpoint(tmp_path, lm=other))
    swapped = node({**other["properties"], "indexer": indexer(WORDS[::-1])})
    with pytest.raises(InputError, match="the order is another"):
        Milan.from_checkpoint(checkpoint(tmp_path, lm=swapped))
    with pytest.raises(InputError, match="'resnet34' is not one of"):
        Milan.from_checkpoint(checkpoint(tmp_path, encoder=node({"config": "resnet34"})))
    with pytest.raises(InputError, match="do not fit the model"):
        Milan.from_checkpoint(checkpoint(tmp_path, hidden_size=9))
    for changes in (
        {"hidden_size": "many"},
        {"hidden_size": 10**9},
        {"beam_size": -1},
        {"strategy": "dance"},
        {"temperature": "warm"},
    ):
        with pytest.raises(InputError, match="no checkpoint of the original"):
            Milan.from_checkpoint(checkpoint(tmp_path, **changes))
