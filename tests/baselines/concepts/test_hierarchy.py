from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from baselines.concepts.hierarchy import read_hierarchy, with_groups
from baselines.concepts.labelled_images import VisualConcept
from baselines.concepts.partition import Partition
from milannotations.errors import InputError

NAMES = ("dog", "cat", "oak", "animal", "car")
CONCEPTS = tuple(VisualConcept(name, "object", i + 1) for i, name in enumerate(NAMES))


def written(folder: Path, *lines: str, header: str = "concept,parent") -> Path:
    path = folder / "kinds.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_kinds_of_kinds_are_below_too(tmp_path: Path) -> None:
    path = written(tmp_path, "dog,animal", "cat,animal", "animal,living thing", "oak,living thing")
    assert read_hierarchy(path, CONCEPTS) == {"animal": (0, 1, 3), "living thing": (0, 1, 2, 3)}


def test_a_group_is_where_any_of_its_labels_is() -> None:
    rng = np.random.default_rng(0)
    dense = (rng.random((30, 5)) < 0.2).astype(np.uint8) * rng.integers(1, 3, (30, 5))
    partition = Partition(CONCEPTS, ("object",), csr_array(dense), np.arange(30))
    found = with_groups(partition, {"animal": (0, 1, 3), "plant": (2,)})
    assert [c.name for c in found.concepts] == [*NAMES, "any animal", "any plant"]
    expected = np.column_stack([dense > 0, (dense[:, [0, 1, 3]] > 0).any(1), dense[:, 2] > 0])
    np.testing.assert_array_equal(found.holds.toarray() > 0, expected)
    assert found.categories[found.category_of[-1]] == "group"
    assert found.concept_areas[-1] == partition.concept_areas[2]


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["dgo,animal"], "concept,parent", "'dgo' is neither.*did you mean"),
        (["dog,"], "concept,parent", "lacks its concept or its parent"),
        (["dog,animal", "animal,dog"], "concept,parent", "a kind of itself"),
        (["dog,animal"], "child,parent", "no column 'concept'"),
    ],
)
def test_bad_files(tmp_path: Path, lines: list[str], header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_hierarchy(written(tmp_path, *lines, header=header), CONCEPTS)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_hierarchy(tmp_path / "none.csv", CONCEPTS)
