"""The one reader of JSON: files from strangers, files written by hand, and this project's own.

Python's reader accepts ``NaN``, which is not JSON, keeps the last of two equal keys, turns
``1e999`` into infinity, and raises unrelated errors for deep nesting and long integers. Here each
of these is one error message with the file, the line and what to do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from milannotations.errors import InputError, wrong_fields
from milannotations.numerals import MAX_DIGITS, NumeralError, decimal
from milannotations.reading import read_bytes

MAX_JSON = 64 * 2**20  # bytes; the default limit
# Numbers that may not fit, anywhere in the file; each number is checked only if this matches.
_EXTREME = re.compile(rb"[eE][+-]?[0-9]{3}|[0-9]{40}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_KINDS = {dict: "an object {…}", list: "a list […]"}
_Model = TypeVar("_Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A record read from JSON: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class JsonError(InputError):
    """JSON that cannot be read."""


def read_json(
    path: Path,
    kind: type[dict[str, Any]] | type[list[Any]] | None = None,
    *,
    limit: int = MAX_JSON,
    remedy: str = "",
    constants: bool = False,
) -> Any:
    """Return the value in a JSON file.

    Args:
        path: The file.
        kind: The type that the whole value must have, ``dict`` or ``list``; default any.
        limit: The greatest size of the file, in bytes.
        remedy: What to do about a damaged file; follows a semicolon in the message.
        constants: Whether to accept ``NaN`` and ``Infinity``, which this project once wrote.

    Raises:
        JsonError: Names the file, the line if it is known, and the remedy.
    """
    try:
        data = read_bytes(path, limit)
    except InputError as error:
        raise JsonError(f"{error}{_then(remedy)}") from error
    return parse_json(data, path, kind, remedy=remedy, constants=constants)


def parse_json(
    data: bytes | str,
    name: object,
    kind: type[dict[str, Any]] | type[list[Any]] | None = None,
    *,
    remedy: str = "",
    constants: bool = False,
) -> Any:
    """Return the value of JSON text, which messages call ``name``. See ``read_json``."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    reading = _JsonText(raw, str(name), remedy, constants)
    value = reading.parse()
    if kind is not None and not isinstance(value, kind):
        raise JsonError(f"{name} holds {_named(value)}, not {_KINDS[kind]}{_then(remedy)}")
    return value


def read_model(
    path: Path,
    kind: type[_Model],
    *,
    whole: str = "file",
    limit: int = MAX_JSON,
    remedy: str = "",
    strict: bool = True,
) -> _Model:
    """Return a JSON file as a model.

    Args:
        path: The file.
        kind: The model.
        whole: Noun for the whole file in messages.
        limit: The greatest size of the file, in bytes.
        remedy: What to do about a damaged file.
        strict: Whether strings and booleans are refused where numbers are expected.

    Raises:
        JsonError: Names the file, up to five wrong fields, and the remedy.
    """
    try:
        data = read_bytes(path, limit)
    except InputError as error:
        raise JsonError(f"{error}{_then(remedy)}") from error
    parse_json(data, path, dict, remedy=remedy)
    try:
        return kind.model_validate_json(data, strict=strict)
    except ValidationError as error:
        raise JsonError(f"{path}: {wrong_fields(error, whole)}{_then(remedy)}") from error


class _JsonText:
    """A text that is being parsed; its errors name the file and the line."""

    def __init__(self, data: bytes, name: str, remedy: str, constants: bool) -> None:
        self._data, self._name, self._remedy, self._constants = data, name, remedy, constants

    def parse(self) -> Any:
        """Return the value of the text."""
        text = self._text()
        hooks: dict[str, Any] = {}
        if _EXTREME.search(self._data):
            hooks = {"parse_float": self._float, "parse_int": self._int}
        if not self._constants:
            hooks["parse_constant"] = self._constant
        try:
            value = json.loads(text, object_pairs_hook=self._object, **hooks)
            if _SURROGATE.search(self._data):
                json.dumps(value, ensure_ascii=False).encode()
            return value
        except UnicodeEncodeError:
            self.fail("a text holds half of a surrogate pair, which is no character")
        except json.JSONDecodeError as error:
            self.fail(f"{error.msg[0].lower()}{error.msg[1:]}", error.lineno)
        except RecursionError:
            self.fail("it is nested too deep")
        except MemoryError:
            self.fail("it needs more memory than there is")

    def _text(self) -> str:
        if self._data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            self.fail("it looks like UTF-16; save it as UTF-8")
        if not self._data.strip():
            self.fail("it is empty")
        try:
            return self._data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self._data.count(b"\n", 0, error.start) + 1
            byte = self._data[error.start]
            self.fail(f"it is not UTF-8 (byte {error.start}: 0x{byte:02x})", line)

    def fail(self, why: str, line: int | None = None) -> NoReturn:
        """Raise the error."""
        where = f"{self._name}, line {line}," if line else self._name
        raise JsonError(f"{where} cannot be read as JSON: {why}{_then(self._remedy)}")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            self.fail(f"the key {twice[:60]!r} occurs twice in one object")
        return value

    def _constant(self, name: str) -> NoReturn:
        self.fail(f"{name} is no JSON; write null, or a number", self._line_of(name))

    def _int(self, text: str) -> int:
        if len(text.lstrip("-")) > MAX_DIGITS:
            self.fail(
                f"a whole number of {len(text):,} digits; at most {MAX_DIGITS} are read",
                self._line_of(text),
            )
        return int(text)

    def _float(self, text: str) -> float:
        try:
            return decimal(text)
        except NumeralError as error:
            self.fail(str(error), self._line_of(text))

    def _line_of(self, text: str) -> int | None:
        at = self._data.find(text.encode())
        return self._data.count(b"\n", 0, at) + 1 if at >= 0 else None


def _then(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""


def _named(value: object) -> str:
    kind = next((words for kind, words in _KINDS.items() if isinstance(value, kind)), None)
    return kind or ("null" if value is None else f"one {type(value).__name__}")
