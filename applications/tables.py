"""Writing the tables of reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from milannotations.storage import atomic_path


def write_csv_tables(tables: Mapping[str, pd.DataFrame], out: Path) -> None:
    """Write tables as CSV files of these names into a folder."""
    for name, table in tables.items():
        with atomic_path(out / name) as path:
            table.to_csv(path, index=False)
