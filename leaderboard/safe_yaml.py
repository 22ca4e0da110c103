"""YAML from strangers: small, flat, without tags, aliases, merge keys or keys that occur twice.

PyYAML's safe loader runs no code, but an alias of an alias of an alias still makes a kilobyte
into gigabytes ("billion laughs"), and of two equal keys it takes the last in silence. The events
of the document are looked through before anything is built of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from milannotations.errors import InputError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 5
MAX_NODES = 5000


class UnsafeYaml(InputError):
    """What cannot be read, and the line it stands on (1 for the whole file)."""

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
        UnsafeYaml: If it is too large or deep, no mapping, not UTF-8 or not YAML, or has a tag, an
            anchor, an alias, a merge key, a second document or a key twice.
    """
    if len(data) > MAX_BYTES:
        raise UnsafeYaml(1, f"{len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnsafeYaml(line, f"not UTF-8 at byte {error.start}") from error
    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader))
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise UnsafeYaml(1, "not a mapping; write one `key: value` a line")
        lines = _lines(root)
        plain = yaml.safe_load(text)
    except UnsafeYaml:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UnsafeYaml(line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # The reader's error holds the offending character; a date such as 2026-99-99 is a
        # ValueError.
        raise UnsafeYaml(1, f"not YAML: {' '.join(str(error).split())[:200]}") from error
    return {str(key): value for key, value in plain.items()}, lines


def _check_events(events: Iterator[yaml.Event]) -> None:
    depth = nodes = documents = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise UnsafeYaml(line, "a second document; write one")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UnsafeYaml(line, "anchors and aliases (& and *) are not read; quote the text")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise UnsafeYaml(line, f"the tag {tag!r} is not read; quote the text")
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
            raise UnsafeYaml(line, "merge keys (<<) are not read; write each key")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if nodes > MAX_NODES:
                raise UnsafeYaml(line, f"more than {MAX_NODES} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UnsafeYaml(line, f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _lines(root: yaml.MappingNode) -> dict[str, int]:
    lines: dict[str, int] = {}
    for key, value in root.value:
        _check_keys(value)
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UnsafeYaml(line, "a key that is not a text")
        if key.value in lines:
            raise UnsafeYaml(
                line, f"the key {key.value[:50]!r} again, after line {lines[key.value]}"
            )
        lines[key.value] = line
    return lines


def _check_keys(node: yaml.Node) -> None:
    """Refuse keys twice further down; the depth is bounded by then."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _check_keys(one)
    elif isinstance(node, yaml.MappingNode):
        _lines(node)
