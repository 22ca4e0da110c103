"""Small models and neurons for the tests of MILAN, and the slow ways to do what it does."""

from __future__ import annotations

import io
import itertools

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor, nn

from baselines.features.encoder import EncoderSpec, PyramidEncoder
from baselines.milan.config import MilanConfig
from baselines.milan.decoder import DecoderSpec
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.vocabulary import Vocabulary
from milannotations.catalog.models import LoadedModel
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.record import FEATURES, encode_mask

WORDS = ("red", "blue", "circles", "squares", "and")
FEATURES_WIDTH = 6
SPEC = EncoderSpec(model="tests", layers=("0", "2"), weights="published")


def tiny_model(seed: int = 0, words: tuple[str, ...] = WORDS, sharp: float = 3.0) -> Milan:
    """Return a model with random weights, scaled up so that its distributions are not flat."""
    torch.manual_seed(seed)
    config = MilanConfig(
        encoder=SPEC, features=FEATURES_WIDTH, k=3,
        decoder=DecoderSpec(embedding=4, hidden=8),
        language_model=LanguageModelSpec(embedding=4, hidden=8),
    )  # fmt: skip
    model = Milan(config, Vocabulary(words)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(sharp)
    return model


def tiny_encoder(spec: EncoderSpec = SPEC, seed: int = 0) -> PyramidEncoder:
    """Return an encoder of two small convolutions: 2 + 4 features."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.ReLU(), nn.Conv2d(2, 4, 3, stride=4))
    loaded = LoadedModel(module, "tests", "tests", Preprocessing(size=32, resize=32))
    return PyramidEncoder(spec, loaded)


def neurons(
    count: int = 4,
    k: int = 3,
    side: int = 32,
    empty: bool = False,
    annotations: list[list[str]] | None = None,
) -> Dataset:
    """Return neurons with noisy exemplars, the first shared by all, and square masks."""
    rng = np.random.default_rng(0)
    rows = []
    for unit in range(count):
        images, masks = [], []
        for place in range(k):
            shade = np.random.default_rng(0 if place == 0 else rng.integers(1 << 30))
            buffer = io.BytesIO()
            pixels = shade.integers(0, 255, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "png")
            images.append({"bytes": buffer.getvalue(), "path": None})
            mask = np.zeros((side, side), dtype=bool)
            if not empty:
                mask[unit : unit + 12, place : place + 14] = True
            masks.append({"bytes": encode_mask(mask), "path": None})
        rows.append(
            {
                "model": "m", "dataset": "d", "layer": "l", "unit": unit, "images": images,
                "masks": masks, "activations": [1.0] * k, "image_ids": list(range(k)),
                "threshold": 0.5, "annotations": annotations[unit] if annotations else [],
            }
        )  # fmt: skip
    return Dataset.from_list(rows, features=FEATURES)


def some_features(count: int = 5, k: int = 3, seed: int = 1) -> Tensor:
    """Return random features of neurons."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, k, FEATURES_WIDTH, generator=generator)


@torch.no_grad()
def log_prob_by_hand(model: Milan, features: Tensor, tokens: list[int]) -> float:
    """Return log p(d | E) of one neuron by the equations, written out for one vector at a time.

    Tokens end with the stop, or do not end.
    """
    d, p = model.decoder, dict(model.decoder.named_parameters())
    mean = features.mean(0)
    h = torch.tanh(p["initial_hidden.weight"] @ mean + p["initial_hidden.bias"])
    c = torch.tanh(p["initial_cell.weight"] @ mean + p["initial_cell.bias"])
    total, last = 0.0, model.vocabulary.start
    for token in tokens:
        query = p["query.weight"] @ h + p["query.bias"]
        scores = torch.stack(
            [
                p["attention.weight"][0] @ torch.tanh(query + p["key.weight"] @ f + p["key.bias"])
                + p["attention.bias"][0]
                for f in features
            ]
        )
        alpha = torch.exp(scores - scores.max())
        alpha = alpha / alpha.sum()
        seen = sum(a * f for a, f in zip(alpha, features, strict=True))
        gate = torch.sigmoid(p["gate.weight"] @ h + p["gate.bias"])
        x = torch.cat([p["embedding.weight"][last], gate * seen])
        i, f, g, o = (
            p["lstm.weight_ih"] @ x + p["lstm.bias_ih"]
            + p["lstm.weight_hh"] @ h + p["lstm.bias_hh"]
        ).chunk(4)  # fmt: skip
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        logits = p["output.weight"] @ h + p["output.bias"]
        total += float(logits[token] - torch.logsumexp(logits, 0))
        last = token
    assert isinstance(d, nn.Module)
    return total


@torch.no_grad()
def prior_by_hand(model: Milan, tokens: list[int]) -> float:
    """Return log p(d) by running the language model anew for every token."""
    prior = model.language_model
    assert prior is not None
    total = 0.0
    for at, token in enumerate(tokens):
        words = torch.tensor([[model.vocabulary.start, *tokens[:at]]])
        hidden, _ = prior.lstm(prior.embedding(words))
        total += float(prior.output(hidden[0, -1]).log_softmax(0)[token])
    return total


def all_texts(model: Milan, length: int) -> list[list[int]]:
    """Return every sequence of one or more words, of at most that length with its stop."""
    words = range(len(model.vocabulary.words))
    stop = model.vocabulary.stop
    texts: list[list[int]] = []
    for size in range(1, length):
        texts += [[*some, stop] for some in itertools.product(words, repeat=size)]
    return texts + [list(some) for some in itertools.product(words, repeat=length)]
