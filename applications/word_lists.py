"""Lists of words that descriptions are searched for, as an audit or an edit names them."""

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
# Read by hand for 16 terms ("face", "dog", "red", …) and the 3,182 words of the descriptions of
# ResNet-152's neurons, with the packaged MiniLM: of the words that a cosine of .7 adds 45 of 67
# belong to the term, between .6 and .7 about two in five. Colours do worst: "red" adds "blue".
THRESHOLD = 0.7
_porter = PorterStemmer()


@dataclass(frozen=True)
class WordList:
    """Terms to search descriptions for: literal text, never regular expressions.

    A term is found by its words, which must follow one another. A word is a run of letters and
    digits, with signs such as those of "c++" at its end, in lower case; what stands between words,
    hyphens too, does not matter. Words are compared by their Porter stems, so that "faces" finds
    "face". Stems also join some words of different meanings ("facing" too is found), and do not
    join all of one ("leaf" does not find "leaves").

    Args:
        terms: One or more, each with a letter or a digit.
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
            texts: Each one or more terms, separated by commas.
            exact: See the class.

        >>> WordList.parse("faces, stop sign", "dog").terms
        ('faces', 'stop sign', 'dog')

        Raises:
            InputError: See the class; also of nothing between two commas.
        """
        terms = [" ".join(term.split()) for text in texts for term in text.split(",")]
        return cls(tuple(dict.fromkeys(terms)), exact)

    def matches(self, description: str) -> tuple[str, ...]:
        """Return what of a description matches, in lower case and order, each once; () if nothing.

        >>> WordList.parse("faces, stop sign").matches("A face, two stop signs and texture")
        ('face', 'stop signs')
        """
        words = _words(description)
        compared = self._compared(words)
        found = {}
        for term in self.terms:
            wanted = self._compared(_words(term))
            size = len(wanted)
            for start in range(len(words) - size + 1):
                if compared[start : start + size] == wanted:
                    found[start, size] = " ".join(words[start : start + size])
        return tuple(dict.fromkeys(found[place] for place in sorted(found)))

    def _compared(self, words: Sequence[str]) -> list[str]:
        return list(words) if self.exact else [_stem(word) for word in words]


@dataclass(frozen=True)
class SearchWord:
    """A word to search for and why.

    Attributes:
        word: To search for.
        source: The term that it comes from; the word itself if it was given.
        similarity: Its cosine with the term, −1 to 1; None if it does not come from vectors.
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
    """Return the terms of a list, then words that mean nearly the same, in order of the terms.

    Words that the list finds anyway are not added, and none twice: it stays with the term it is
    most similar to, of equals the first.

    Args:
        words: The list.
        how: One of ``HOWS``. ``wordnet`` adds synonyms, the other lemmas of a term's noun synsets;
            ``embeddings`` words of the vocabulary with similar vectors.
        vocabulary: For ``embeddings``, the words that occur in the descriptions.
        encoder: For ``embeddings``.
        threshold: For ``embeddings``, the least cosine, −1 to 1.
        senses: For ``wordnet``, how many of a term's senses are meant, from the most frequent on.
            One by default: synonyms of all senses of "face" would add "side" and "cheek". Senses
            that are single persons or places ("Crane", the writer) do not count.
        hyponyms: For ``wordnet``, add the direct hyponyms too: of "dog" also "puppy".

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
    for one in added:
        known = best.get(one.word)
        if known is None or (one.similarity or 0) > (known.similarity or 0):
            best[one.word] = one
    new = [one for one in best.values() if not words.matches(one.word)]
    new.sort(key=lambda one: (words.terms.index(one.source), -(one.similarity or 0)))
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
    found = []
    for term in terms:
        name = "_".join(normalize(term).split())
        synsets = [one for one in wordnet.synsets(name, pos="n") if not one.instance_hypernyms()]
        for synset in synsets[:senses]:
            meant = [synset, *(synset.hyponyms() if hyponyms else ())]
            names = [lemma.replace("_", " ") for one in meant for lemma in one.lemma_names()]
            found += [SearchWord(normalize(lemma), term) for lemma in names]
    return found


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
    # Composed letters: else an accent would end a word.
    return SIGNED_WORD.findall(normalize(unicodedata.normalize("NFKC", text)))


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_porter.stem(word))
