"""File names in a form that can be written into tables and printed.

On Linux a file name can be any bytes. Python holds those that are not UTF-8 as lone surrogates,
which no UTF-8 file, Parquet column or terminal accepts.
"""

from __future__ import annotations

from pathlib import PurePath


def utf8(name: str) -> str:
    r"""Return a name with each byte that is not UTF-8 written as ``\xe9``.

    >>> utf8("caf\udce9.png")
    'caf\\xe9.png'
    >>> utf8("café.png")
    'café.png'
    """
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates of another origin, as on Windows
        raw = name.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def shown(name: str | PurePath) -> str:
    r"""Return a name for use in one line of a message; control characters are escaped, too.

    >>> shown("two\nlines.png")
    'two\\nlines.png'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in utf8(str(name))
    )
