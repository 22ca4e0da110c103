"""Units whose descriptions hold some words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from applications.network_descriptions import DescribedNetwork
from applications.word_lists import THRESHOLD, SearchWord, WordList, expand
from benchmark.tokenization import compound_words
from milannotations.ablation import Unit
from milannotations.errors import InputError


@dataclass(frozen=True)
class WordSearch:
    """What descriptions are searched for.

    Attributes:
        words: The terms given, and those that were added.
        given: The terms given.
        added: Those that were added, and why.
    """

    words: WordList
    given: tuple[str, ...]
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
        """Read terms and add others to them.

        Args:
            terms: Words, several separated by commas.
            how: ``none``, ``wordnet`` or ``embeddings``; see ``words.expand``.
            exact: Compare words as written, not by their stems.
            threshold: For embeddings.
            encoder: For embeddings: a sentence encoder.
            descriptions: For embeddings: words are added from these.

        Raises:
            InputError: If a term has no letter, or what an expansion needs is not there.
        """
        words = WordList.parse(*terms, exact=exact)
        vocabulary = sorted({word for text in descriptions for word in compound_words(text)})
        added = [
            one
            for one in expand(words, how, vocabulary, encoder=encoder, threshold=threshold)
            if one.word not in words.terms
        ]
        every = tuple(dict.fromkeys([*words.terms, *(one.word for one in added)]))
        return cls(replace(words, terms=every), words.terms, tuple(added))

    @property
    def title(self) -> str:
        """The terms in a row."""
        more = f" (and {len(self.added)} words like them)" if self.added else ""
        return ", ".join(self.given) + more

    def matches(self, units: Sequence[Unit], texts: Sequence[str]) -> dict[Unit, tuple[str, ...]]:
        """Return what matched of each unit that matches."""
        found = {unit: self.words.matches(text) for unit, text in zip(units, texts, strict=True)}
        return {unit: words for unit, words in found.items() if words}


def some_matches(search: WordSearch, described: DescribedNetwork) -> Mapping[Unit, tuple[str, ...]]:
    """Return the matching units of a network: none, or some of them.

    Raises:
        InputError: If all match: with the words that descriptions are made of.
    """
    found = search.matches(described.units, described.texts)
    if len(found) < len(described.units):
        return found
    raise InputError(
        f"all {len(found)} units of {described.loaded.name} are described with {search.title}: "
        f"name words that tell them apart; the most frequent are: {frequent(described.texts)}"
    )


def nothing_found(search: WordSearch, units: int, texts: Sequence[str]) -> str:
    """Say that no unit matches, and what words there are."""
    return (
        f"none of {units} units is described with {search.title}; the most frequent words are: "
        f"{frequent(texts)}. Name other words, or add some with --expand"
    )


def frequent(texts: Sequence[str]) -> str:
    """Return the most frequent words of descriptions, by commas."""
    counts = Counter(word for text in texts for word in set(compound_words(text)))
    return ", ".join(word for word, _ in counts.most_common(25))
