"""Texts that are longer than a title may be, and names that would hide one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.harness import Scored
from benchmark.metrics.bleu import Bleu
from benchmark.result import read_result
from benchmark.score_files import score_files
from milannotations.errors import InputError

LONG = "word " * 60


def _score(folder: Path, constants: Sequence[str] = (), text: str = "dog") -> dict[str, Scored]:
    rows = [f"l,{unit},{text} {unit}{turn}" for unit in range(3) for turn in range(3)]
    (folder / "r.csv").write_text("layer,unit,summary\n" + "\n".join(rows) + "\n")
    rows = [f"l,{unit},dog {unit}" for unit in range(3)]
    (folder / "mine.csv").write_text("layer,unit,description\n" + "\n".join(rows) + "\n")
    scored, _, _ = score_files(
        folder / "r.csv", [folder / "mine.csv"], lambda: [Bleu()], constants=constants,
        only_described=False, resamples=1000, seed=0, notify=lambda _: None,
    )  # fmt: skip
    return scored


@pytest.mark.parametrize("length", [150, 163, 190, 200, 201, 5000])
def test_long_references_and_constants_are_scored(tmp_path: Path, length: int) -> None:
    text = (LONG * 30)[:length].strip()
    scored = _score(tmp_path, [text, f"{text} again"], text)
    titles = {name: one.result.method.title for name, one in scored.items()}
    assert len(titles) == 6  # people, the most frequent, two constants, the file, dealt out
    assert all(len(title) <= 200 for title in titles.values())
    assert titles["constant-frequent"].startswith('constant "word word')
    assert titles["constant-frequent"].endswith("(most frequent reference)")
    for one in scored.values():
        assert read_result(one.save(tmp_path / "out")) == one.result


def test_constants_do_not_hide_one_another(tmp_path: Path) -> None:
    constants = ["a dog", "A dog!", "frequent", "日本", "中国", "", " ", "a dog", LONG, f"{LONG}x"]
    scored = _score(tmp_path, constants)
    controls = [name for name in scored if name.startswith("constant-")]
    texts = {scored[name].per_neuron["description"].iloc[0] for name in controls}
    # Two that are blank are one constant; the most frequent reference is a constant as well.
    assert texts >= {"a dog", "A dog!", "frequent", "日本", "中国", LONG, f"{LONG}x"}
    assert len(controls) == 9
    assert all(len(name) <= 64 for name in controls)


def test_a_file_named_as_a_control_of_another_is_told(tmp_path: Path) -> None:
    rows = "layer,unit,summary\nl,0,a dog\nl,0,a cat\nl,1,a bird\nl,1,a fish\n"
    (tmp_path / "r.csv").write_text(rows)
    paths = [tmp_path / "a.csv", tmp_path / "a-shuffled.csv"]
    for path in paths:
        path.write_text("layer,unit,description\nl,0,dog\nl,1,cat\n")
    with pytest.raises(InputError, match="'a-shuffled' has the name of a control of 'a'"):
        score_files(
            tmp_path / "r.csv", paths, lambda: [Bleu()], constants=(), only_described=False,
            resamples=1000, seed=0, notify=lambda _: None,
        )  # fmt: skip
