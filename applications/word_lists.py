"""Lists of words that descriptions are searched for."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from nltk.corpus import wordnet
from nltk.stem import PorterStemmer

from benchmark.language import Encodes
from benchmark.tokenization import SIGNED_WORD, normalize
from milannotations.errors import InputError, did_you_mean

HOWS = ("none", "wordnet", "embeddings")
# Judged by hand for 16 terms ("face", "dog", "red", …) and the 3,182 words of the descriptions of
# ResNet-152's neurons, with the packaged MiniLM: 45 of the 67 words that a cosine of .7 adds belong
# to the term; between .6 and .7 about two in five do. Colours do worst: "red" adds "blue".
THRESHOLD = 0.7
_porter = PorterStemmer()


@dataclass(frozen=True)
class WordList:
    """Terms to search descriptions for: literal text, never regular expressions.

    A term matches where its words occur next to one another. A word is a run of letters and digits
    in lower case, with signs such as those of "c++" at its end; characters between words, hyphens
    included, do not matter. Words are compared by their Porter stems, so that "faces" finds "face".
    Some words of different meanings have one stem ("facing" is found as well), and some forms of
    one word do not ("leaf" does not find "leaves").

    Args:
        terms: One or more terms, each with a letter or a digit.
        exact: Compare words as they are written, not by their stems.

    Raises:
        InputError: If there is no term, or one has neither letter nor digit; names it.
    """

    terms: tuple[str, ...]
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.terms:
            raise InputError("no words to search descriptions for: give at least one")
        for term in self.terms:
            if not _words(term):
                raise InputError(
                    f"{term!r} cannot be searched for: a term is literal text with at least one "
                    "letter or digit; several are separated by commas"
                )

    @classmethod
    def parse(cls, *texts: str, exact: bool = False) -> WordList:
        """Read terms as they are written on the command line.

        Args:
            texts: Each holds one or more terms, separated by commas.
            exact: See the class.

        >>> WordList.parse("faces, stop sign", "dog").terms
        ('faces', 'stop sign', 'dog')

        Raises:
            InputError: See the class; also if there is nothing between two commas.
        """
        terms = [" ".join(term.split()) for text in texts for term in text.split(",")]
        return cls(tuple(dict.fromkeys(terms)), exact)

    def matches(self, description: str) -> tuple[str, ...]:
        """Return the parts of a description that match, in lower case and in order, each once.

        >>> WordList.parse("faces, stop sign").matches("A face, two stop signs and texture")
        ('face', 'stop signs')
        """
        words = _words(description)
        compared = self._compared(words)
        matched = {}
        for term in self.terms:
            wanted = self._compared(_words(term))
            size = len(wanted)
            for start in range(len(words) - size + 1):
                if compared[start : start + size] == wanted:
                    matched[start, size] = " ".join(words[start : start + size])
        return tuple(dict.fromkeys(matched[position] for position in sorted(matched)))

    def _compared(self, words: Sequence[str]) -> list[str]:
        return list(words) if self.exact else [_stem(word) for word in words]


@dataclass(frozen=True)
class SearchWord:
    """A word to search for, and the term that it comes from.

    Attributes:
        word: The word.
        source: The term that it comes from; the word itself if it is a term.
        similarity: Its cosine with the term, −1 to 1; None if it was not found by embeddings.
    """

    word: str
    source: str
    similarity: float | None = None


def expand(
    words: WordList,
    how: str,
    vocabulary: Iterable[str] = (),
    *,
    encoder: Encodes | None = None,
    threshold: float = THRESHOLD,
    senses: int = 1,
    hyponyms: bool = False,
) -> list[SearchWord]:
    """Return the terms of a list, then words that mean nearly the same, in the order of the terms.

    Words that the list matches already are not added. A word that several terms would add comes
    once, with the term that it is most similar to, or the first such term.

    Args:
        words: The list.
        how: One of ``HOWS``. ``wordnet`` adds synonyms: the other lemmas of a term's noun synsets;
            ``embeddings`` adds words of the vocabulary with similar vectors.
        vocabulary: For ``embeddings``: the words that occur in the descriptions.
        encoder: For ``embeddings``: a sentence encoder.
        threshold: For ``embeddings``: the least cosine, −1 to 1.
        senses: For ``wordnet``: number of senses of a term that are used, most frequent first. The
            default is one, because synonyms of all senses of "face" would add "side" and "cheek".
            Senses that are individual persons or places ("Crane", the writer) do not count.
        hyponyms: For ``wordnet``: add direct hyponyms as well, such as "puppy" for "dog".

    Raises:
        InputError: If ``how`` is unknown, WordNet's data is not installed, or a value is out of
            range.
    """
    if how not in HOWS:
        raise InputError(
            f"cannot expand words by {how!r}: choose one of {', '.join(HOWS)}"
            f"{did_you_mean(how, HOWS)}"
        )
    if how == "wordnet":
        added = _synonyms(words.terms, senses, hyponyms)
    elif how == "embeddings":
        added = _neighbours(words.terms, vocabulary, encoder, threshold)
    else:
        added = []
    best: dict[str, SearchWord] = {}
    for entry in added:
        previous = best.get(entry.word)
        if previous is None or (entry.similarity or 0) > (previous.similarity or 0):
            best[entry.word] = entry
    new = [entry for entry in best.values() if not words.matches(entry.word)]
    new.sort(key=lambda entry: (words.terms.index(entry.source), -(entry.similarity or 0)))
    return [SearchWord(term, term) for term in words.terms] + new


def _synonyms(terms: Sequence[str], senses: int, hyponyms: bool) -> list[SearchWord]:
    if senses < 1:
        raise InputError(f"senses is {senses}: it must be at least 1")
    try:
        wordnet.ensure_loaded()
    except LookupError as error:
        raise InputError(
            "expanding words by wordnet needs WordNet: run `python -m nltk.downloader wordnet`, "
            "or expand by embeddings or none instead"
        ) from error
    entries = []
    for term in terms:
        name = "_".join(normalize(term).split())
        synsets = [
            synset for synset in wordnet.synsets(name, pos="n") if not synset.instance_hypernyms()
        ]
        for synset in synsets[:senses]:
            meant = [synset, *(synset.hyponyms() if hyponyms else ())]
            names = [lemma.replace("_", " ") for sense in meant for lemma in sense.lemma_names()]
            entries += [SearchWord(normalize(lemma), term) for lemma in names]
    return entries


def _neighbours(
    terms: Sequence[str], vocabulary: Iterable[str], encoder: Encodes | None, threshold: float
) -> list[SearchWord]:
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}: a cosine is from -1 to 1")
    if encoder is None:
        raise InputError("expanding words by embeddings needs an encoder: name one")
    words = sorted({word for word in map(normalize, vocabulary) if _words(word)})
    if not words:
        return []
    cosines = encoder.encode([normalize(term) for term in terms]) @ encoder.encode(words).T
    return [
        SearchWord(words[column], terms[row], float(cosines[row, column]))
        for row, column in np.argwhere(cosines >= threshold)
    ]


def _words(text: str) -> list[str]:
    # Letters are composed first, or an accent would end a word.
    return SIGNED_WORD.findall(normalize(unicodedata.normalize("NFKC", text)))


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_porter.stem(word))
