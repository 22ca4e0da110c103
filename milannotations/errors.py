"""The one exception for mistakes that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: names the file, the value and what to do.

    The command line prints its message alone, without a traceback, and exits with status 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``"; did you mean 'layer4'?"`` or an empty string.

    >>> did_you_mean("layer9", ["layer4", "conv1"])
    "; did you mean 'layer4'?"
    >>> did_you_mean("zzz", ["layer4", "conv1"])
    ''
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
