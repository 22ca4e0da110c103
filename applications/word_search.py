"""Search for units whose descriptions contain some words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from applications.network_descriptions import DescribedNetwork
from applications.word_lists import THRESHOLD, SearchWord, WordList, expand
from benchmark.tokenization import compound_words
from milannotations.ablation import LayerUnit
from milannotations.errors import InputError


@dataclass(frozen=True)
class WordSearch:
    """Words that descriptions are searched for.

    Attributes:
        words: The user's terms, and those that were added to them.
        terms: The user's terms.
        added: Words that were added, and why.
    """

    words: WordList
    terms: tuple[str, ...]
    added: tuple[SearchWord, ...] = ()

    @classmethod
    def of(
        cls,
        terms: Sequence[str],
        how: str = "none",
        *,
        exact: bool = False,
        threshold: float = THRESHOLD,
        encoder: Any = None,
        descriptions: Sequence[str] = (),
    ) -> WordSearch:
        """Read terms, and add words that mean nearly the same.

        >>> WordSearch.of(["faces", "heads"]).title
        'faces, heads'

        Args:
            terms: Words, several separated by commas.
            how: ``none``, ``wordnet`` or ``embeddings``; see ``word_lists.expand``.
            exact: Compare words as written, not by their stems.
            threshold: For embeddings.
            encoder: For embeddings: a sentence encoder.
            descriptions: For embeddings: the texts that words are added from.

        Raises:
            InputError: If a term has no letter, or what an expansion needs is not there.
        """
        words = WordList.parse(*terms, exact=exact)
        vocabulary = sorted({word for text in descriptions for word in compound_words(text)})
        added = [
            entry
            for entry in expand(words, how, vocabulary, encoder=encoder, threshold=threshold)
            if entry.word not in words.terms
        ]
        terms = tuple(dict.fromkeys([*words.terms, *(entry.word for entry in added)]))
        return cls(replace(words, terms=terms), words.terms, tuple(added))

    @property
    def title(self) -> str:
        """The terms, separated by commas."""
        more = f" (and {len(self.added)} words like them)" if self.added else ""
        return ", ".join(self.terms) + more

    def matches(
        self, units: Sequence[LayerUnit], texts: Sequence[str]
    ) -> dict[LayerUnit, tuple[str, ...]]:
        """Return the matching units, each with the words of its description that matched."""
        matches = {unit: self.words.matches(text) for unit, text in zip(units, texts, strict=True)}
        return {unit: words for unit, words in matches.items() if words}

    def no_match(self, texts: Sequence[str]) -> str:
        """Say that none of these descriptions matches, and which words there are."""
        return (
            f"none of {len(texts)} units is described with {self.title}; the most frequent words "
            f"are: {frequent(texts)}. Name other words, or add some with --expand"
        )


def some_matches(
    search: WordSearch, described: DescribedNetwork
) -> Mapping[LayerUnit, tuple[str, ...]]:
    """Return the matching units of a network, and what matched in their descriptions.

    Raises:
        InputError: If all units match; names the most frequent words of the descriptions.
    """
    matches = search.matches(described.units, described.texts)
    if len(matches) < len(described.units):
        return matches
    raise InputError(
        f"all {len(matches)} units of {described.loaded.name} are described with {search.title}: "
        f"name words that tell them apart; the most frequent are: {frequent(described.texts)}"
    )


def frequent(texts: Sequence[str]) -> str:
    """Return the most frequent words of descriptions, by commas."""
    counts = Counter(word for text in texts for word in set(compound_words(text)))
    return ", ".join(word for word, _ in counts.most_common(25))
