"""The further metrics against their libraries' own numbers, and against brute force."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import evaluate
import numpy as np
import pytest
from nltk.translate.meteor_score import single_meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from benchmark.metrics import meteor as meteor_module
from benchmark.metrics.base import References
from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.cider import Cider
from benchmark.metrics.content import ContentOverlap
from benchmark.metrics.corrected import Corrected, shifts
from benchmark.metrics.identification import (
    DISTRACTORS,
    Identification,
    IdentificationAccuracy,
    IdentificationRank,
)
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.registry import EVERY, MetricSettings, check_names, make_metrics, names
from benchmark.metrics.rouge import RougeL
from benchmark.metrics.sentence import SentenceSimilarity
from benchmark.references import Fold, leave_one_out
from benchmark.text_encoders import PACKAGED, resolve_encoder
from milannotations.errors import InputError
from tests.benchmark.made_up import made_up_references, same, texts


def pairs(of: References, said: list[str]):
    """Every description with each of its references, by fold and neuron."""
    return [
        [[(text, reference) for reference in refs]
         for text, refs in zip(said, fold.references, strict=True)]
        for fold in of.folds
    ]  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_of_every_order_is_sacrebleus(order: int) -> None:
    of = made_up_references(60)
    said = [texts(60, 7 + turn) for turn in range(len(of.folds))]
    said[0][3], said[1][5] = "", "the U.S. flag, 3.5%"
    bleu = Bleu(order)
    overlap = bleu.statistics(of, {"m": said})["m"]
    flat = [text for fold in said for text in fold]
    references = [refs for fold in of.folds for refs in fold.references]
    most = max(map(len, references))
    padded = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    expected = BLEU(max_ngram_order=order).corpus_score(flat, padded).score
    assert bleu.aggregate(overlap.sum(0)) == pytest.approx(expected, abs=1e-9)
    assert expected > 0
    single_fold = bleu.statistics(of.subset(range(60), folds=1), {"m": said[:1]})["m"]
    sentence = BLEU(max_ngram_order=order, effective_order=True)
    own = [
        sentence.sentence_score(text, refs).score
        for text, refs in zip(said[0], of.folds[0].references, strict=True)
    ]
    assert np.allclose(bleu.per_neuron(single_fold), own, atol=1e-9)
    with pytest.raises(InputError, match="BLEU-5"):
        Bleu(5)


def test_rouge_and_meteor_are_their_libraries_own() -> None:
    of, said = made_up_references(30), texts(30, 5)
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rouge = [
        np.mean([max(scorer.score(r, t)["rougeL"].fmeasure for t, r in fold[i])
                 for fold in pairs(of, said)])
        for i in range(30)
    ]  # fmt: skip
    overlap = RougeL().statistics(of, {"m": same(of, said)})["m"]
    assert np.allclose(RougeL().per_neuron(overlap), rouge, atol=1e-12)

    class Nothing:
        def synsets(self, _: str) -> list[object]:
            return []

    expected = [
        np.mean([max(single_meteor_score(r.split(), t.split(), wordnet=Nothing())
                     for t, r in fold[i]) for fold in pairs(of, said)])
        for i in range(30)
    ]  # fmt: skip
    meteor = Meteor(synonyms=False)
    overlap = meteor.statistics(of, {"m": same(of, said)})["m"]
    assert np.allclose(meteor.per_neuron(overlap), expected, atol=1e-12)


def test_meteor_without_wordnet_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lacking:
        def ensure_loaded(self) -> None:
            raise LookupError("wordnet")

    monkeypatch.setattr(meteor_module, "wordnet", Lacking())
    with pytest.raises(InputError, match=r"nltk\.downloader wordnet"):
        Meteor()


def test_cider_by_the_paper() -> None:
    """Written again from the definition, without the shortcuts, on sentences split by spaces."""
    of, said = made_up_references(25, most=3), texts(25, 9)
    known = [{" ".join(w) for text in refs for w in grams(text)} for refs in of.corpus]
    frequency = Counter(gram for single_fold in known for gram in single_fold)

    def vector(text: str, n: int) -> dict[str, float]:
        counts = Counter(" ".join(w) for w in grams(text) if len(w) == n)
        return {g: c * math.log(len(known) / max(1, frequency[g])) for g, c in counts.items()}

    def cider(text: str, reference: str) -> float:
        gap = max(0, len(text.split()) - 1) - max(0, len(reference.split()) - 1)
        total = 0.0
        for n in range(1, 5):
            a, b = vector(text, n), vector(reference, n)
            norms = math.hypot(*a.values()) * math.hypot(*b.values())
            if norms:
                total += sum(min(a[g], b[g]) * b[g] for g in a.keys() & b.keys()) / norms
        return 10 * total / 4 * math.exp(-(gap**2) / (2 * 6**2))

    expected = [
        np.mean([np.mean([cider(t, r) for t, r in fold[i]]) for fold in pairs(of, said)])
        for i in range(25)
    ]
    metric = Cider()
    overlap = metric.statistics(of, {"m": same(of, said)})["m"]
    assert np.allclose(metric.per_neuron(overlap), expected, atol=1e-9)
    assert max(expected) > 0.1


def grams(text: str) -> list[tuple[str, ...]]:
    """Return the n-grams of a sentence, n from 1 to 4, each as often as it occurs."""
    words = text.split()
    return [tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1)]


def test_content_overlap_by_hand() -> None:
    fold = Fold([""] * 4, [["dogs running"], ["the of"], ["a cat"], ["red wheels, small"]])
    said = ["the dog runs", "of the", "objects", "small red things"]
    overlap = ContentOverlap().statistics(References([fold], ["l"] * 4), {"m": [said]})["m"]
    # dog and run; only function words, so they count; nothing; red and small of three and three.
    assert ContentOverlap().per_neuron(overlap).tolist() == pytest.approx([1, 1, 0, 2 / 3])


def test_similarity_is_the_mean_cosine() -> None:
    metric = SentenceSimilarity(PACKAGED)
    of, said = made_up_references(12), texts(12, 4)
    overlap = metric.per_neuron(metric.statistics(of, {"m": same(of, said)})["m"])

    every = [*said, *(text for refs in of.corpus for text in refs)]
    encoded = dict(zip(every, metric._encoder._model.encode(every).astype(float), strict=True))

    def cosine(a: str, b: str) -> float:
        first, second = encoded[a], encoded[b]
        return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))

    expected = [
        np.mean([np.mean([cosine(t, r) for t, r in fold[i]]) for fold in pairs(of, said)])
        for i in range(12)
    ]
    assert np.allclose(overlap, expected, atol=1e-5)


def test_bertscore_of_odd_sentences_is_bert_scores_own() -> None:
    """Empty, long and repeated ones, and words that no reference has."""
    import bert_score

    said = ["", "dog", " ".join(["very"] * 60) + " long dog", "zebra xylophone", "dog", "a b"]
    references = [["a dog"], ["dog", "the dog"], ["long dogs"], ["a cat"] * 2, ["dog"], ["b a"]]
    metric = BertScore(PACKAGED)
    values = metric.statistics(References([Fold([""] * 6, references)], ["l"] * 6), {"m": [said]})
    overlap = metric.per_neuron(values["m"])
    assert overlap[0] == 0  # bert_score's own value, which it can no longer compute itself
    scorer = bert_score.BERTScorer(
        model_type=resolve_encoder(PACKAGED).location, num_layers=5, idf=True, nthreads=0,
        idf_sents=[text for of_one in references for text in of_one],
    )  # fmt: skip
    _, _, expected = scorer.score(said[1:], references[1:])
    assert np.allclose(overlap[1:], expected.numpy(), atol=1e-5)


def test_identification_among_ten_equals_drawing_all_distractors() -> None:
    """Every set of nine of the eleven others is drawn, every order of ties tried."""
    of = made_up_references(12, layers=1)
    said = texts(12, 8)
    said[3], said[5] = "dog", "dog"
    of.folds[0].references[7] = list(of.folds[0].references[3])  # a tie for neuron 3
    single_fold = of.subset(range(12), folds=1)
    accuracy, rank = IdentificationAccuracy(PACKAGED), IdentificationRank(PACKAGED)
    overlap = {
        m.name: m.per_neuron(m.statistics(single_fold, {"m": [said]})["m"])
        for m in (accuracy, rank)
    }
    vectors = accuracy._encoder
    centres = np.stack([vectors.encode(refs).mean(0) for refs in single_fold.folds[0].references])
    for i in range(12):
        fit = centres @ vectors.encode([said[i]])[0]
        others = [j for j in range(12) if j != i]
        right, inverse = [], []
        for drawn in itertools.combinations(others, DISTRACTORS):
            better = sum(fit[j] > fit[i] + 1e-12 for j in drawn)
            equal = sum(abs(fit[j] - fit[i]) <= 1e-12 for j in drawn)
            places = [better + before for before in range(equal + 1)]
            right.append(np.mean([place == 0 for place in places]))
            inverse.append(np.mean([1 / (1 + place) for place in places]))
        assert overlap[accuracy.name][i] == pytest.approx(np.mean(right), abs=1e-9)
        assert overlap[rank.name][i] == pytest.approx(np.mean(inverse), abs=1e-9)


@pytest.mark.parametrize("constant", ["objects", "", "the red dog"])
def test_every_constant_identifies_at_chance_among_ten(constant: str) -> None:
    of = made_up_references(41, layers=3)
    for metric in (IdentificationAccuracy(PACKAGED), IdentificationRank(PACKAGED)):
        overlap = metric.statistics(of, {"c": same(of, [constant] * 41)})["c"]
        assert metric.aggregate(overlap.sum(0)) == pytest.approx(metric.info.chance, abs=1e-12)


def test_permutation_expectation_equals_brute_force() -> None:
    """All 120 permutations of the five references, against the five shifts of a layer."""
    # Each neuron's annotations share two words, so that a person gains something.
    known = [[f"{t} n{i} m{i}" for t in texts(3, i)] for i in range(5)]
    of = References(leave_one_out(known), ["l"] * 5)
    said = texts(5, 20)
    plain = RougeL()

    def scored(order: list[int], predictions: list[list[str]]) -> float:
        overlap = plain.statistics(of.permuted(np.array(order)), {"m": predictions})["m"]
        return float(plain.aggregate(overlap.sum(0)))

    own = [0, 1, 2, 3, 4]
    person = [list(fold.held_out) for fold in of.folds]
    method = [list(said) for _ in of.folds]
    orders = [list(order) for order in itertools.permutations(own)]
    gains = [
        scored(own, single_fold) - np.mean([scored(order, single_fold) for order in orders])
        for single_fold in (method, person)
    ]
    metric = Corrected(plain, permutations=5)
    overlap = metric.statistics(of, {"m": method})["m"]
    assert metric.aggregate(overlap.sum(0)) == pytest.approx(gains[0] / gains[1], abs=1e-12)
    assert metric.per_neuron(overlap).mean() == pytest.approx(gains[0] / gains[1], abs=1e-12)


@pytest.mark.parametrize("name", ["bleu-1", "rouge-l", "content", "identification", "cider"])
def test_corrected_is_0_for_constants_and_1_for_people(name: str) -> None:
    of = made_up_references(41, layers=3)
    (metric,) = make_metrics([f"{name}-corrected"], MetricSettings(PACKAGED, PACKAGED))
    person = [list(fold.held_out) for fold in of.folds]
    # Random sentences: a person gains nothing, so people are given half of the references.
    for fold in of.folds:
        for i, refs in enumerate(fold.references):
            refs.append(fold.held_out[i])
    overlap = metric.statistics(of, {"c": same(of, ["the red dog"] * 41), "h": person})
    assert metric.aggregate(overlap["c"].sum(0)) == pytest.approx(0, abs=1e-12)
    assert metric.aggregate(overlap["h"].sum(0)) == pytest.approx(1, abs=1e-12)


def test_corrected_has_no_value_where_people_gain_nothing() -> None:
    of = References(leave_one_out([["a dog", "a dog"]] * 4), ["l"] * 4)
    metric = Corrected(RougeL())
    overlap = metric.statistics(of, {"m": same(of, ["a dog"] * 4)})["m"]
    assert np.isnan(metric.aggregate(overlap.sum(0)))


def test_shifts_are_permutations_within_layers() -> None:
    groups = ["a"] * 4 + ["b"] * 3 + ["c"]
    orders = shifts(groups, 12, seed=1)
    for order in orders:
        assert sorted(order) == list(range(8))
        assert [groups[i] for i in order] == groups
    for neuron, size in enumerate([4] * 4 + [3] * 3 + [1]):
        met = Counter(int(order[neuron]) for order in orders)
        assert set(met.values()) == {12 // size}


def test_metrics_by_name() -> None:
    assert check_names(["all"]) == list(EVERY)
    assert "bleu-corrected" in names()
    with pytest.raises(InputError, match="did you mean 'bleu'"):
        check_names(["blue"])
    metrics = make_metrics(["bleu-2", "bleu-2-corrected", "meteor-stem"], MetricSettings())
    assert [metric.name for metric in metrics] == ["bleu-2", "bleu-2-corrected", "meteor-stem"]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("bleu", {}), ("bleu", {"order": 1}), ("rouge", {}), ("cider", {}), ("content", {}),
        ("meteor", {"synonyms": False}), ("bertscore", {"encoder": PACKAGED}),
        ("sentence", {"encoder": PACKAGED}), ("identification", {"encoder": PACKAGED}),
    ],
)  # fmt: skip
def test_metrics_are_modules_of_evaluate(module: str, options: dict[str, object]) -> None:
    loaded = evaluate.load(f"benchmark/metrics/{module}.py")
    assert loaded.description
    overlap = loaded.compute(
        predictions=["A dog in the grass.", "red wheels", "the sky"],
        references=[["a dog in the grass", "dogs"], ["wheels that are red"], ["a blue sky"]],
        **options,
    )
    (value,) = (v for k, v in overlap.items() if k not in ("per_neuron", "signature"))
    assert value > 0
    assert len(overlap["per_neuron"]) == 3
    assert "|" in overlap["signature"]
    with pytest.raises(InputError, match="neuron number 1 has no reference"):
        loaded.compute(predictions=["a", "b"], references=[["a"], ["."]], **options)


def test_one_encoder_serves_all_metrics_of_a_run() -> None:
    first, second = Identification(PACKAGED), IdentificationAccuracy(PACKAGED)
    assert first._encoder is second._encoder
