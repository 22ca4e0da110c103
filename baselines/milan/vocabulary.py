"""The tokenizer, spaCy's rules for English, and the vocabulary of a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from baselines.milan.specs import VocabularySpec
from milannotations.errors import InputError

if TYPE_CHECKING:
    from benchmark.language import Parser

SPECIALS = ("<start>", "<stop>", "<pad>", "<unk>")
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
# No space before these tokens, after those, or around hyphens.
_BEFORE = re.compile(r" (?=[.,;:!?)\]}%]|'s\b|n't\b|'\B)")
_AFTER = re.compile(r"(?<=[(\[{$#]) ")
_AROUND = re.compile(r" ?([-/]) ?")


def tokenize(texts: Iterable[str]) -> list[list[str]]:
    """Split texts into lower-case tokens; punctuation is kept.

    The tokenizer is that of ``spacy.blank("en")``, and of the pipeline ``en_core_web_sm`` that
    MILAN used: rules, without a model to download.

    >>> tokenize(["Red-striped dogs' heads."])
    [['red', '-', 'striped', 'dogs', "'", 'heads', '.']]
    """
    return [
        [token.text.lower() for token in document if token.text.strip()]
        for document in _tokenizer().pipe(texts)
    ]


def lemmas(texts: Iterable[str]) -> list[list[str]]:
    """Split texts into the lower-case lemmas of their tokens, by a spaCy pipeline.

    Raises:
        InputError: If no English pipeline is installed.
    """
    return _parser().lemmas(texts)


def detokenize(tokens: Sequence[str]) -> str:
    """Join tokens to a text, with spaces as in English.

    >>> detokenize(["red", "-", "striped", "dogs", "'", "heads", ",", "or", "a", "cat", "'s"])
    "red-striped dogs' heads, or a cat's"
    """
    text = _AROUND.sub(r"\1", " ".join(tokens))
    return _AFTER.sub("", _BEFORE.sub("", text))


class Vocabulary:
    """The words that a model knows, and their numbers.

    Words are numbered from 0; the start, the stop, the padding and the unknown word follow, in the
    order of the original's checkpoints.

    >>> Vocabulary(["red", "dogs"]).encode(["red dogs", "a dog"])
    tensor([[2, 0, 1, 3],
            [2, 5, 5, 3]])

    Args:
        words: Distinct tokens.
        lemmatize: Whether the words are lemmas, and texts are lemmatized.

    Raises:
        InputError: If there are no words, or one occurs twice.
    """

    def __init__(self, words: Sequence[str], lemmatize: bool = False) -> None:
        self.words = tuple(words)
        self._split = lemmas if lemmatize else tokenize
        self.numbers = {word: number for number, word in enumerate(self.words)}
        if not self.words:
            raise InputError("the vocabulary is empty: the descriptions to learn from have no word")
        if len(self.numbers) < len(self.words):
            twice = [word for word, count in Counter(self.words).items() if count > 1]
            raise InputError(f"the vocabulary holds words twice: {twice[:5]}")
        self.start, self.stop, self.pad, self.unknown = range(
            len(self.words), len(self.words) + len(SPECIALS)
        )

    @classmethod
    def of(cls, texts: Sequence[str], spec: VocabularySpec | None = None) -> Vocabulary:
        """Return the vocabulary of texts, the most frequent word first.

        Args:
            texts: The training texts.
            spec: How words are chosen; default all words, not lemmatized.

        Raises:
            InputError: If no word of the texts is frequent enough, or they are not English.
        """
        spec = spec or VocabularySpec()
        check_english(texts)
        split = lemmas if spec.lemmatize else tokenize
        counts = Counter(token for tokens in split(texts) for token in tokens)
        words = [word for word, count in counts.items() if count >= spec.min_count]
        if not words:
            raise InputError(
                f"min_count={spec.min_count}: no word of the annotations occurs that often; the "
                f"most frequent occurs {max(counts.values())} times"
            )
        # Ties in alphabetical order, so that the order of texts does not change the model.
        return cls(sorted(words, key=lambda word: (-counts[word], word)), spec.lemmatize)

    def __len__(self) -> int:
        return len(self.words) + len(SPECIALS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    @property
    def unspeakable(self) -> list[int]:
        """Numbers of the start, the padding and the unknown word, which no description contains."""
        return [self.start, self.pad, self.unknown]

    def encode(self, texts: Sequence[str], longest: int | None = None) -> Tensor:
        """Return the numbers of texts' tokens, int64 of shape (texts, tokens).

        Each row consists of the start, the tokens, the stop, and padding. A text of more than
        ``longest`` tokens is cut off without a stop, as it does not end there.
        """
        rows = []
        for tokens in self._split(texts):
            numbers = [self.numbers.get(token, self.unknown) for token in tokens]
            whole = longest is None or len(numbers) <= longest
            ended = [*numbers, self.stop] if whole else numbers[:longest]
            rows.append(torch.tensor([self.start, *ended]))
        if not rows:
            return torch.zeros(0, 2, dtype=torch.int64)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of token numbers, up to the first stop, without special tokens."""
        ended = list(numbers)
        if self.stop in ended:
            ended = ended[: ended.index(self.stop)]
        return detokenize([self.words[n] for n in ended if n < len(self.words)])


def check_english(texts: Sequence[str]) -> None:
    """Raise InputError if there are no texts, or most are not written in Latin letters.

    The rules of the tokenizer are those of English. For another language, a model could silently be
    trained with whole sentences as words.
    """
    written = [text for text in texts if text.strip()]
    if not written:
        raise InputError("there are no descriptions to learn from; are the neurons annotated?")
    foreign = [t for t in written if _LETTER.search(t) and not _LATIN.search(t)]
    if len(foreign) > len(written) / 2:
        raise InputError(
            f"{len(foreign)} of {len(written)} descriptions are not in Latin letters, as "
            f"{foreign[0][:40]!r}; this model's tokenizer is English"
        )


@cache
def _tokenizer() -> Any:
    import spacy  # here: it takes a second to import, and only MILAN needs it

    return spacy.blank("en").tokenizer


@cache
def _parser() -> Parser:
    from benchmark.language import load_parser  # here: few vocabularies need it

    return load_parser()
