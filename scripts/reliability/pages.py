"""Tables in pages, between comments with their names."""

from __future__ import annotations

import re
from pathlib import Path


def put(page: Path, name: str, table: str) -> None:
    """Replace the text between ``<!-- name -->`` and ``<!-- end of name -->`` in a page."""
    text = page.read_text(encoding="utf-8")
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if first not in text or last not in text:
        raise ValueError(f"{page} lacks {first} or {last}")
    pattern = re.compile(re.escape(first) + ".*?" + re.escape(last), re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{first}\n{table}\n{last}", text), encoding="utf-8")
