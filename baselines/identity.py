"""Names of cached results: hashes of everything that the results depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an identity as JSON, in hexadecimal.

    >>> identity_hash({"b": 1, "a": 2}) == identity_hash({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
