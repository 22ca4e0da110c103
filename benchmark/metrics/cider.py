"""CIDEr-D: n-grams that description and references share, weighted by how rare they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, spaced

_ORDER = 4
_SIGMA = 6.0
_SCALE = 10.0

Ngram = tuple[str, ...]


class Cider(PairMetric):
    """CIDEr-D (Vedantam et al., CVPR 2015), averaged over references, neurons and folds.

    Document frequencies of n-grams are counted over the references of all neurons of the split; a
    neuron is one document. Lengths are counted in bigrams, as in the authors' code. Words are those
    of sacrebleu's tokenizer 13a, not of the Java tokenizer that COCO's captions are scored with;
    each character of a script without spaces is a word (``benchmark.tokenization.spaced``).

    The values are those of pycocoevalcap. That package is not used because it counts document
    frequencies over the captions of each call: a fold or a sample of neurons would have other ones.

    >>> round(Cider()(["a red dog", "wheels"], [["a red dog on grass"], ["round wheels"]]), 3)
    3.306
    """

    name = "cider"
    over = "mean"
    bounds = BOUNDS["cider"]
    info = MetricInfo(title="CIDEr-D", description="shared n-grams, rare ones counting more")

    def __init__(self) -> None:
        self._tokenize = Tokenizer13a()

    @property
    def signature(self) -> str:
        """Variant, settings, source of the frequencies, and tokenizer."""
        return (
            f"cider-d|n:{_ORDER}|sigma:{_SIGMA:g}|idf:references|tok:13a+unspaced|"
            f"scale:{_SCALE:g}|{FORM}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return CIDEr-D of each pair."""
        counted: dict[str, Counter[Ngram]] = {}

        def count(sentence: str) -> Counter[Ngram]:
            if sentence not in counted:
                counted[sentence] = _ngrams(self._tokenize(spaced(sentence)).split())
            return counted[sentence]

        containing: Counter[Ngram] = Counter()
        for texts in references.corpus:
            containing.update({ngram for text in texts for ngram in count(text)})
        total = math.log(len(references.corpus))
        vectors = [_Vector(count(sentence), containing, total) for sentence in sentences]
        return np.array(
            [_similarity(vectors[p], vectors[t]) for p, t in zip(predictions, targets, strict=True)]
        )


class _Vector:
    """The tf-idf weights of a sentence's n-grams by order, and their norms."""

    def __init__(self, counts: Counter[Ngram], containing: Counter[Ngram], total: float) -> None:
        self.weights: list[dict[Ngram, float]] = [{} for _ in range(_ORDER)]
        for ngram, count in counts.items():
            idf = total - math.log(max(1, containing[ngram]))
            self.weights[len(ngram) - 1][ngram] = count * idf
        self.norms = [math.sqrt(sum(w * w for w in of.values())) for of in self.weights]
        self.bigrams = sum(count for ngram, count in counts.items() if len(ngram) == 2)


def _similarity(text: _Vector, reference: _Vector) -> float:
    gap = text.bigrams - reference.bigrams
    penalty = math.exp(-(gap**2) / (2 * _SIGMA**2))
    total = 0.0
    for own, other, norm, norm_other in zip(
        text.weights, reference.weights, text.norms, reference.norms, strict=True
    ):
        if norm and norm_other:
            shared = sum(min(w, other[n]) * other[n] for n, w in own.items() if n in other)
            total += shared / (norm * norm_other)
    return _SCALE * penalty * total / _ORDER


def _ngrams(words: Sequence[str]) -> Counter[Ngram]:
    return Counter(
        tuple(words[i : i + n]) for n in range(1, _ORDER + 1) for i in range(len(words) - n + 1)
    )


Evaluate = evaluate_module(__name__, Cider)
