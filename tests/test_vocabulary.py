"""Names: one meaning each, and none that says nothing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("milannotations", "benchmark", "baselines", "applications", "leaderboard")
# A variable says what it holds.
_FILLERS = {"found", "one", "said", "made", "kept", "known", "part", "place"}
# A part of an object, beside the whole.
_MEANT = {("milannotations/worlds/spatial.py", "part")}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_variables_and_parameters_say_what_they_hold() -> None:
    fillers = [
        f"{path}:{node.lineno} {name}"
        for path, tree in _modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        or isinstance(node, ast.arg)
        for name in [node.id if isinstance(node, ast.Name) else node.arg]
        if name in _FILLERS and (path, name) not in _MEANT
    ]
    assert not fillers


def test_a_class_name_has_one_meaning_and_the_glossary_s_names_exist() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    constants = set()
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(path)
            if isinstance(node, ast.Assign):
                constants |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z]\w+)`", glossary))
    assert named
    assert named <= {*homes, *constants}
