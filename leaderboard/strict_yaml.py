"""YAML from strangers: small and flat, without tags, aliases, merge keys or repeated keys.

PyYAML's safe loader runs no code, but aliases of aliases can still expand a kilobyte to gigabytes
("billion laughs"), and of two equal keys it silently takes the last. Therefore the events of the
document are checked before anything is constructed from them.

PyYAML also reads YAML 1.1, in which ``0777`` is 511, ``1:30:00`` is 5400, ``1_0`` is ten and ``no``
is false. This module reads unquoted words by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema), without dates, and refuses those that the two
versions read differently, as the author may have meant either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from milannotations.errors import InputError
from milannotations.numerals import NumeralError, decimal, integer, shown

MAX_BYTES = 64 * 1024
MAX_DEPTH = 5
MAX_NODES = 5000


_TAG = "tag:yaml.org,2002:"
_TEXT, _BOOL, _INT, _FLOAT, _DATE, _VALUE = (
    _TAG + name for name in ("str", "bool", "int", "float", "timestamp", "value")
)


class _CoreLoader(yaml.SafeLoader):
    """A safe loader that resolves unquoted words by YAML 1.2."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (so in the base class)


for _name, _pattern in {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+",
    "float": r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)",
}.items():
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), None)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return decimal(str(loader.construct_scalar(node)))


_CoreLoader.add_constructor(_FLOAT, _construct_float)


class YamlError(InputError):
    """What cannot be read, and its line (1 for the whole file)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_mapping(data: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    """Read one YAML mapping.

    Args:
        data: UTF-8, with or without a byte order mark.

    Returns:
        The mapping, and the line of each of its keys, counted from 1.

    Raises:
        YamlError: If the text is too large or too deeply nested, is not a mapping, UTF-8 or YAML,
            or contains a tag, an anchor, an alias, a merge key, a second document or a repeated
            key.

    >>> read_mapping(b"name: mine\\nseed: 3\\n")
    ({'name': 'mine', 'seed': 3}, {'name': 1, 'seed': 2})
    """
    if len(data) > MAX_BYTES:
        raise YamlError(1, f"{len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, f"not UTF-8 at byte {error.start}") from error
    try:
        _check_events(yaml.parse(text, Loader=_CoreLoader))
        root = yaml.compose(text, Loader=_CoreLoader)
        if not isinstance(root, yaml.MappingNode):
            raise YamlError(1, "not a mapping; write one `key: value` a line")
        lines = _lines(root)
        plain = yaml.load(text, Loader=_CoreLoader)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise YamlError(line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # A reader error holds the offending character; a date such as 2026-99-99 is a ValueError.
        raise YamlError(1, f"not YAML: {' '.join(str(error).split())[:200]}") from error
    return {str(key): value for key, value in plain.items()}, lines


def _check_events(events: Iterator[yaml.Event]) -> None:
    depth = nodes = documents = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlError(line, "a second document; write one")
        if isinstance(event, yaml.NodeEvent):
            _check_node(event, line)
            nodes += 1
            if nodes > MAX_NODES:
                raise YamlError(line, f"more than {MAX_NODES} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlError(line, f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_node(event: yaml.NodeEvent, line: int) -> None:
    """Refuse anchors, aliases and tags, and check an unquoted word."""
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise YamlError(line, "anchors and aliases (& and *) are not read; quote the text")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise YamlError(line, f"the tag {tag!r} is not read; quote the text")
    if isinstance(event, yaml.ScalarEvent) and event.style is None:
        _check_word(event.value, line)


def _check_word(word: str, line: int) -> None:
    """Refuse an unquoted word that is ambiguous: read differently by YAML 1.1, or a bad number."""
    if word == "<<":
        raise YamlError(line, "merge keys (<<) are not read; write each key")
    older, kind = _resolved(yaml.SafeLoader, word), _resolved(_CoreLoader, word)
    if kind in (_FLOAT, _INT):
        try:
            decimal(word) if kind == _FLOAT else integer(word)
        except NumeralError as error:
            raise YamlError(line, str(error)) from error
    if older in (_DATE, _VALUE) or older == kind:
        return
    if kind == _FLOAT and older == _TEXT:
        return  # 1e3: to YAML 1.1, which requires a point and a sign, it is a text
    instead = {_BOOL: ", or true or false", _INT: ", or as a plain number"}.get(older, "")
    raise YamlError(
        line,
        f"{shown(word)} is read differently by different readers of YAML; write it as "
        f'"{word[:40]}" in quotes if it is a text{instead}',
    )


def _resolved(loader: type[yaml.SafeLoader], word: str) -> str:
    """Return the tag to which a loader resolves an unquoted word."""
    for first in (word[:1], None):
        for tag, pattern in loader.yaml_implicit_resolvers.get(first, []):
            if pattern.match(word):
                return str(tag)
    return _TEXT


def _lines(root: yaml.MappingNode) -> dict[str, int]:
    lines: dict[str, int] = {}
    for key, value in root.value:
        _check_keys(value)
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(line, "a key that is not a text")
        if key.value in lines:
            raise YamlError(
                line, f"the key {key.value[:50]!r} again, after line {lines[key.value]}"
            )
        lines[key.value] = line
    return lines


def _check_keys(node: yaml.Node) -> None:
    """Refuse repeated keys in nested mappings; the depth has been checked before."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)
    elif isinstance(node, yaml.MappingNode):
        _lines(node)
