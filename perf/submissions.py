"""Time checking and scoring a submission of 12,000 neurons, and ranking 100 methods on them.

``python perf/submissions.py [--neurons N] [--methods M]`` makes a board of neurons without pictures
and with three references each, and a submission to it, and prints how long each step takes. Only
metrics without an encoder are used; perf/scoring.py measures encoders.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml

from benchmark.significance import rank
from leaderboard.definition import read_board
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import score_submissions
from leaderboard.submission.template import write_template
from leaderboard.submission.verifying import differences
from milannotations.annotations import to_dataset
from milannotations.progress import silence_libraries
from milannotations.record import NeuronKey

_T = TypeVar("_T")


def main() -> None:
    """Run all steps and print their times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=12_000)
    parser.add_argument("--methods", type=int, default=100)
    options = parser.parse_args()
    silence_libraries()
    rng = random.Random(0)
    words = [f"word{i}" for i in range(3000)]

    def text() -> str:
        return " ".join(rng.choices(words, k=rng.randint(2, 9)))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        keys = [NeuronKey("net", "data", f"layer{i % 5}", i // 5) for i in range(options.neurons)]
        to_dataset({key: [text(), text(), text()] for key in keys}).to_parquet(
            folder / "neurons.parquet"
        )
        board_file = {
            "name": "perf", "version": 1, "title": "perf", "main_metric": "content",
            "main_split": "all", "metrics": ["content", "bleu"], "sentence_encoder": "none",
            "bertscore_encoder": "none",
            "splits": [{"name": "all", "source": "neurons.parquet"}],
        }  # fmt: skip
        (folder / "board.yaml").write_text(yaml.safe_dump(board_file))
        board = _timed("board", lambda: read_board(folder))
        _timed("first load of the neurons", lambda: board.neurons("all"))
        sent = folder / "sent"
        _timed("init", lambda: write_template("mine", board, sent))
        table = (sent / "descriptions.csv").read_text().splitlines()
        filled = [table[0], *(line + text() for line in table[1:])]
        (sent / "descriptions.csv").write_text("\n".join(filled) + "\n")
        checked = _timed("validate", lambda: check(sent, board))
        assert not checked.problems, checked.problems.lines()
        broken = [line.replace("net", "nte") if i % 2 else line for i, line in enumerate(filled)]
        (sent / "descriptions.csv").write_text("\n".join(broken) + "\n")
        found = _timed("validate, half of the lines wrong", lambda: check(sent, board))
        print(f"  {found.problems.total:,} problems, {len(found.problems.lines())} lines")
        scored, _, _ = _timed("score", lambda: score_submissions([checked], board))
        saved = scored["mine"].save(folder / "results")
        said, _ = _timed("verify", lambda: differences(saved, checked, board))
        assert said == []
    truth = np.linspace(0.7, 0.6, options.methods)[:, None]
    noise = np.random.default_rng(0).normal(scale=0.25, size=(options.methods, options.neurons))
    values = truth + noise
    ranking = _timed(f"rank {options.methods} methods", lambda: rank(values))
    print(f"  {len(set(ranking.ranks))} different ranks")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


def _timed(name: str, run: Callable[[], _T]) -> _T:
    start = time.perf_counter()
    result = run()
    print(f"{name}: {time.perf_counter() - start:.2f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
