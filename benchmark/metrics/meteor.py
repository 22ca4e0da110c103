"""METEOR: words matched exactly, by stem and by synonym."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from nltk.corpus import wordnet
from nltk.stem import PorterStemmer
from nltk.tokenize import TreebankWordTokenizer
from nltk.translate.meteor_score import single_meteor_score

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, spaced
from milannotations.errors import InputError


class Meteor(PairMetric):
    """METEOR with the best reference (Banerjee and Lavie, 2005), averaged over neurons and folds.

    Scores are those of nltk with its default parameters. Each character of a script without spaces
    is a word (``benchmark.tokenization.spaced``). Synonyms need the data of WordNet, which nltk
    downloads: ``python -m nltk.downloader wordnet``.

    Args:
        synonyms: Match synonyms too. Otherwise words match exactly and by stem only, and the
            signature says so.

    Raises:
        InputError: If synonyms are to be matched and WordNet's data is not installed.

    >>> round(Meteor(synonyms=False)(["a red dog"], [["the red dogs on grass", "a cat"]]), 3)
    0.391
    """

    name = "meteor"
    bounds = BOUNDS["meteor"]
    info = MetricInfo(
        title="METEOR", description="words matched exactly, by stem and by synonym, in few chunks"
    )

    def __init__(self, synonyms: bool = True) -> None:
        self._synonyms = synonyms
        if synonyms:
            try:
                wordnet.ensure_loaded()
            except LookupError as error:
                raise InputError(
                    "METEOR's synonyms need WordNet: run `python -m nltk.downloader wordnet`, or "
                    "score meteor-stem instead, which leaves synonyms out"
                ) from error
        else:
            self.name = "meteor-stem"
            self.info = MetricInfo(
                title="METEOR (no synonyms)",
                description="words matched exactly and by stem, in few chunks",
            )
        self._tokenizer = TreebankWordTokenizer()
        self._stemmer = _CachedStemmer()

    @property
    def signature(self) -> str:
        """Matchers, tokenizer and version."""
        matchers = "exact+stem" + ("+wordnet" if self._synonyms else "")
        return (
            f"meteor|refs:best|match:{matchers}|tok:treebank+unspaced|{FORM}|nltk:{version('nltk')}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return METEOR of each pair."""
        words = [self._tokenizer.tokenize(spaced(text)) for text in sentences]
        source: Any = wordnet if self._synonyms else _NoSynonyms()
        return np.array(
            [
                single_meteor_score(words[t], words[p], stemmer=self._stemmer, wordnet=source)
                for p, t in zip(predictions, targets, strict=True)
            ]
        )


class _CachedStemmer(PorterStemmer):
    """Remembers stems, because each word is stemmed once for every pair it occurs in."""

    def __init__(self) -> None:
        super().__init__()
        self._stems: dict[str, str] = {}

    def stem(self, word: str, to_lowercase: bool = True) -> str:
        """Return a word's stem."""
        if word not in self._stems:
            self._stems[word] = super().stem(word, to_lowercase)
        return self._stems[word]


class _NoSynonyms:
    """Replaces WordNet; no word has synonyms."""

    def synsets(self, _: str) -> list[Any]:
        """Return no synonyms."""
        return []


Evaluate = evaluate_module(__name__, Meteor)
