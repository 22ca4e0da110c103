"""The options of ``milannotations splits``."""

from __future__ import annotations

from typing import Annotated

import typer

from milannotations.command_options import Config


class SplitListConfig(Config):
    """Which splits are listed.

    Attributes:
        family: Only this family.
    """

    family: Annotated[str | None, typer.Argument()] = None


class LeakageConfig(Config):
    """Which splits are searched for leaks.

    Attributes:
        family: A family of splits.
        name: Only the split of this name.
    """

    family: Annotated[str, typer.Argument()]
    name: str | None = None


class CategoriesConfig(Config):
    """Which annotations are counted.

    Attributes:
        references: Annotations: CSV, config, group or folder.
        split: Split, where there are several.
    """

    references: Annotated[str, typer.Argument()]
    split: str | None = None
