"""Content overlap: the content words that description and reference share, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from nltk.stem import PorterStemmer
from scipy import sparse
from spacy.lang.en.stop_words import STOP_WORDS

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, compound_words, spaced, words


class ContentOverlap(PairMetric):
    """F1 of the sets of content-word stems, with the best reference, over neurons and folds.

    This metric replaces SPICE (Anderson et al., 2016), whose scene graphs need a Java parser that
    is no longer maintained. Like SPICE, it asks which things and properties both sentences name,
    and ignores word order and function words. spaCy's English stop words are left out, unless a
    sentence has no other words; stems are Porter's.

    >>> round(ContentOverlap()(["a red dog"], [["the dogs", "a dog on red grass"]]), 3)
    0.8
    """

    name = "content"
    bounds = BOUNDS["content"]
    info = MetricInfo(
        title="Content F1", description="shared content words with the best reference"
    )

    @property
    def signature(self) -> str:
        """Stop words, stemmer, tokenizer and versions."""
        return (
            f"content-f1|refs:best|stop:spacy-{version('spacy')}|stem:porter|tok:unspaced|{FORM}|"
            f"nltk:{version('nltk')}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return F1 of each pair."""
        stems: dict[str, int] = {}
        porter = PorterStemmer()
        rows, columns = [], []
        for row, sentence in enumerate(sentences):
            distinct = set(compound_words(spaced(sentence)) or words(sentence))
            for stem in {porter.stem(word) for word in (distinct - STOP_WORDS) or distinct}:
                rows.append(row)
                columns.append(stems.setdefault(stem, len(stems)))
        table = sparse.csr_array(
            (np.ones(len(rows)), (rows, columns)), shape=(len(sentences), max(1, len(stems)))
        )
        sizes = table.sum(1)
        total = sizes[predictions] + sizes[targets]
        shared = np.asarray(table[predictions].multiply(table[targets]).sum(1)).ravel()
        return np.asarray(
            np.divide(2 * shared, total, out=np.zeros(len(predictions)), where=total > 0)
        )


Evaluate = evaluate_module(__name__, ContentOverlap)
