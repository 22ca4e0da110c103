"""Content overlap: which content words description and reference share, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from nltk.stem import PorterStemmer
from scipy import sparse
from spacy.lang.en.stop_words import STOP_WORDS

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.modules import EvaluateModule
from benchmark.quality.texts import words_of
from benchmark.result import MetricInfo
from benchmark.text import FORM, spaced
from benchmark.text import words as words_and_symbols


class ContentOverlap(PairMetric):
    """F1 of the sets of content-word stems, with the best reference, over neurons and folds.

    Stands where SPICE (Anderson et al., 2016) would, whose scene graphs need a Java parser that is
    no longer kept: it too asks which things and properties two sentences both name, and forgets
    word order and function words. spaCy's English stop words are left out, unless nothing else is
    said; the stems are Porter's.
    """

    name = "content"
    bounds = (0.0, 1.0)
    info = MetricInfo(
        title="Content F1", description="shared content words with the best reference"
    )

    @property
    def signature(self) -> str:
        """Words, stems and versions."""
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
            words = set(words_of(spaced(sentence)) or words_and_symbols(sentence))
            for stem in {porter.stem(word) for word in (words - STOP_WORDS) or words}:
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


class Evaluate(EvaluateModule):
    """Content overlap as a module of Hugging Face's evaluate."""

    metric = ContentOverlap
