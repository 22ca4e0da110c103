"""Searching: against exhaustive search, and the equations written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from baselines.milan import decoding as decoding_module
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.search import beam_search, greedy_search
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from tests.baselines.milan.made_up import (
    all_texts,
    log_prob_by_hand,
    prior_by_hand,
    some_features,
    tiny_model,
)

LENGTH = 3
KEYS = [NeuronKey("m", "d", "l", unit) for unit in range(5)]


def cut(model, numbers: list[int]) -> list[int]:
    stop = model.vocabulary.stop
    return numbers[: numbers.index(stop) + 1] if stop in numbers else numbers


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_a_wide_beam_equals_exhaustive_search(seed: int) -> None:
    model, features = tiny_model(seed), some_features(3)
    texts = all_texts(model, LENGTH)
    found = model.search(features, Decoding(strategy="beam", pmi=0, beam=len(texts), length=LENGTH))
    for row, one in enumerate(features):
        scored = {tuple(t): log_prob_by_hand(model, one, t) for t in texts}
        expected = sorted(scored, key=lambda t: -scored[t])
        said = [tuple(cut(model, numbers)) for numbers in found.tokens[row].tolist()]
        assert len(set(said)) == len(texts)
        assert said[0] == expected[0]
        scores = [scored[t] for t in said]
        assert np.allclose(found.scores[row], scores, atol=2e-4)
        assert np.allclose(sorted(scores, reverse=True), scores, atol=2e-4)


@pytest.mark.parametrize("pmi", [0.0, 0.2, 0.7])
@torch.no_grad()
def test_scores_equal_teacher_forcing_and_the_equations(pmi: float) -> None:
    model, features = tiny_model(1), some_features()
    found = model.search(features, Decoding(strategy="rerank", pmi=pmi, beam=6, length=5))
    for row, one in enumerate(features):
        for place, numbers in enumerate(found.tokens[row].tolist()):
            tokens = cut(model, numbers)
            given, prior = log_prob_by_hand(model, one, tokens), prior_by_hand(model, tokens)
            assert float(found.log_prob[row, place]) == pytest.approx(given, abs=2e-4)
            score = given - pmi * prior
            assert float(found.scores[row, place]) == pytest.approx(score, abs=3e-4)
            if tokens[-1] == model.vocabulary.stop and "-" not in model.vocabulary.words:
                text = model.vocabulary.decode(tokens)
                logs, priors = model.log_prob([text], features[row : row + 1])
                assert float(logs) == pytest.approx(given, abs=2e-4)
                assert priors is not None and float(priors) == pytest.approx(prior, abs=2e-4)
        assert (found.scores[row].diff() <= 1e-6).all()


@torch.no_grad()
def test_token_wise_mutual_information_by_hand() -> None:
    model, features = tiny_model(2), some_features(2)
    texts = all_texts(model, LENGTH)
    decoding = Decoding(strategy="beam", pmi=0.5, beam=len(texts), length=LENGTH)
    found = model.search(features, decoding)
    for row, one in enumerate(features):
        scored = {
            tuple(t): log_prob_by_hand(model, one, t) - 0.5 * prior_by_hand(model, t) for t in texts
        }
        best = max(scored, key=lambda t: scored[t])
        assert tuple(cut(model, found.tokens[row, 0].tolist())) == best
        assert float(found.scores[row, 0]) == pytest.approx(scored[best], abs=3e-4)


def test_greedy_is_a_beam_of_one_and_rerank_without_pmi_is_beam() -> None:
    model, features = tiny_model(3), some_features()
    for pmi in (0.0, 0.2):
        greedy = model.search(features, Decoding(strategy="greedy", pmi=pmi, length=6))
        beam = model.search(features, Decoding(strategy="beam", pmi=pmi, beam=1, length=6))
        assert torch.equal(greedy.tokens, beam.tokens)
        assert torch.allclose(greedy.scores, beam.scores, atol=1e-5)
    plain = model.search(features, VARIANTS["beam"].model_copy(update={"length": 4}))
    zero = model.search(features, Decoding(pmi=0, length=4))
    assert torch.equal(plain.tokens, zero.tokens)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_neither_batch_size_nor_neighbours_matter(name: str) -> None:
    model, features = tiny_model(4), some_features(5)
    decoding = VARIANTS[name].model_copy(update={"beam": min(VARIANTS[name].beam, 12)})
    together = model.search(features, decoding, KEYS)
    for row in range(5):
        alone = model.search(features[row : row + 1], decoding, KEYS[row : row + 1])
        assert torch.equal(alone.tokens[0], together.tokens[row])
        assert torch.allclose(alone.scores[0], together.scores[row], atol=1e-4)
    # Neighbours that end at once, or never, change nothing either.
    other = torch.cat([features[:1], 30 * features[1:3]])
    assert torch.equal(model.search(other, decoding, KEYS[:3]).tokens[0], together.tokens[0])


def test_samples_follow_the_model() -> None:
    model, features = tiny_model(5, sharp=1.0), some_features(1)
    decoding = Decoding(strategy="sample", pmi=0, beam=4000, length=1)
    found = model.search(features, decoding, KEYS[:1])
    counts = np.bincount(found.tokens.flatten().numpy(), minlength=len(model.vocabulary))
    texts = [[w] for w in range(len(model.vocabulary.words))]
    p = np.exp([log_prob_by_hand(model, features[0], t) for t in texts])
    expected = 4000 * p / p.sum()  # the rest is what may not be said
    observed = counts[[t[0] for t in texts]]
    assert observed.sum() == 4000
    assert (np.abs(observed - expected) < 5 * np.sqrt(expected) + 5).all()
    again = model.search(features, decoding, KEYS[:1])
    assert torch.equal(found.tokens, again.tokens)
    other = model.search(features, decoding.model_copy(update={"seed": 1}), KEYS[:1])
    assert not torch.equal(found.tokens, other.tokens)


def test_special_tokens_and_nothing_are_never_said() -> None:
    model, features = tiny_model(6), some_features(4)
    with torch.no_grad():
        model.decoder.output.bias[model.vocabulary.stop] += 20
        model.decoder.output.bias[model.vocabulary.unspeakable] += 50
    for name in VARIANTS:
        found = model.search(features, VARIANTS[name], KEYS[:4])
        kept = found.tokens[found.scores > -torch.inf]
        assert (kept[:, 0] != model.vocabulary.stop).all()
        assert not torch.isin(kept, torch.tensor(model.vocabulary.unspeakable)).any()


def test_a_beam_wider_than_there_are_sequences() -> None:
    model, features = tiny_model(7), some_features(2)
    found = model.search(features, Decoding(strategy="beam", pmi=0, beam=1000, length=1))
    finite = found.scores > -torch.inf
    assert (finite.sum(1) == len(model.vocabulary.words)).all()
    described = model.describe_features(
        KEYS[:2], features, Decoding(pmi=0, beam=1000, length=1), alternatives=1000
    )
    assert all(1 + len(d.alternatives) == len(model.vocabulary.words) for d in described)


def test_pmi_without_a_language_model_and_sampling_without_keys() -> None:
    model = tiny_model()
    with pytest.raises(InputError, match="keys"):
        model.search(some_features(1), VARIANTS["sample"])
    model.language_model = None
    with pytest.raises(InputError, match=r"pmi=0\.2 needs a language model"):
        model.search(some_features(1), VARIANTS["milan"])
    model.search(some_features(1), VARIANTS["beam"])


def test_log_probabilities_do_not_depend_on_how_many_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, features = tiny_model(8), some_features(3)
    whole = model.search(features, Decoding(beam=7, length=5))
    monkeypatch.setattr(decoding_module, "_AT_ONCE", 1)
    parts = model.search(features, Decoding(beam=7, length=5))
    assert torch.equal(whole.tokens, parts.tokens)
    assert whole.prior is not None and parts.prior is not None
    assert torch.allclose(whole.prior, parts.prior, atol=1e-5)


def test_a_table_of_transitions() -> None:
    """A first-order chain, whose best sequences are known by listing them."""
    rng = np.random.default_rng(0)
    table = torch.tensor(rng.dirichlet(np.ones(5), size=5)).log().float()
    stop, start, length = 4, 0, 4

    def step(words, state):
        return table[words], state

    state = (torch.zeros(2, 1, 1),)
    found = beam_search(step, state, start=start, stop=stop, beam=300, length=length)
    scored = {}
    for sequence in itertools.product(range(5), repeat=length):
        ended = sequence[: sequence.index(stop) + 1] if stop in sequence else sequence
        pairs = zip((start, *ended), ended, strict=False)
        scored[ended] = float(sum(table[a, b] for a, b in pairs))
    expected = sorted(scored.values(), reverse=True)[:300]
    assert np.allclose(found.scores[0], expected, atol=1e-5)
    assert torch.equal(found.tokens[0], found.tokens[1])
    greedy = greedy_search(step, state, start=start, stop=stop, length=length)
    last, said = start, []
    while last != stop and len(said) < length:
        last = int(table[last].argmax())
        said.append(last)
    assert greedy.tokens[0, 0, : len(said)].tolist() == said
