"""Time the scoring of 12,000 neurons with three references each, against the plain libraries.

    python perf/scoring.py

BLEU and BERTScore with MiniLM from the package index as the encoder of both sides are compared with
``bert_score.score`` and ``sacrebleu``; the values must be the same. First, one method is scored
against all references, which is one call; then, as on boards, a person and a method are scored with
each annotation held out in turn, which are six calls. Then the bootstrap of 10,000 resamples is
compared with scipy's on a fiftieth of them, and the peak memory is printed.

Annotations are drawn from templates so that they repeat about as often as in MILANNOTATIONS: of the
11,712 of ResNet-152, three in four are distinct.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import bert_score
import numpy as np
from sacrebleu.metrics import BLEU
from scipy import stats

from benchmark.intervals import bootstrap
from benchmark.metrics.base import References
from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.bleu import Bleu
from benchmark.references import Fold, leave_one_out
from benchmark.significance import randomization
from benchmark.text_encoders import PACKAGED, resolve_encoder
from milannotations.progress import silence_libraries

NOUNS = [
    "dogs",
    "cats",
    "birds",
    "faces",
    "hands",
    "wheels",
    "cars",
    "trees",
    "leaves",
    "flowers",
    "buildings",
    "windows",
    "doors",
    "signs",
    "letters",
    "words",
    "stripes",
    "dots",
    "lines",
    "edges",
    "circles",
    "grids",
    "fabrics",
    "metal",
    "wood",
    "water",
    "sky",
    "grass",
    "snow",
    "animals",
    "people",
    "objects",
    "fur",
    "eyes",
    "noses",
    "legs",
    "backgrounds",
    "corners",
    "curves",
    "text",
    "food",
    "bottles",
]
ADJECTIVES = [
    "red",
    "green",
    "blue",
    "yellow",
    "black",
    "white",
    "brown",
    "round",
    "striped",
    "dotted",
    "small",
    "large",
    "bright",
    "dark",
    "shiny",
    "furry",
    "vertical",
    "horizontal",
    "curved",
    "straight",
    "wet",
    "old",
    "metallic",
    "colorful",
    "plain",
    "blurry",
]
FORMS = ("{n}", "{a} {n}", "{n} and {m}", "the {n} of {m}", "{a} {n} with {b} {m}",
         "edges of {a} {n} in pictures", "{n}, {m} and {a} {o}")  # fmt: skip
_T = TypeVar("_T")


def sentences(count: int, seed: int) -> list[str]:
    """Return sentences in which common nouns occur more often than others."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(NOUNS) + 1)
    weights /= weights.sum()
    drawn = []
    for _ in range(count):
        n, m, o = rng.choice(NOUNS, 3, p=weights)
        a, b = rng.choice(ADJECTIVES, 2)
        drawn.append(str(rng.choice(FORMS)).format(n=n, m=m, o=o, a=a, b=b))
    return drawn


def timed(what: str, work: Callable[[], _T]) -> tuple[_T, float]:
    """Run a function, and print how long it took."""
    start = time.perf_counter()
    values = work()
    seconds = time.perf_counter() - start
    print(f"{what}: {seconds:.2f} s", flush=True)
    return values, seconds


def main(neurons: int) -> None:
    """Run all measurements and print them."""
    silence_libraries()
    flat = sentences(3 * neurons, 0)
    references = [flat[3 * i : 3 * i + 3] for i in range(neurons)]
    said = sentences(neurons, 1)
    print(f"{neurons} neurons, {len(set(flat))} distinct of {len(flat)} references, "
          f"{len(set(said))} of {len(said)} descriptions")  # fmt: skip
    location = resolve_encoder(PACKAGED).location

    def plain(texts: list[str], known: list[list[str]]) -> tuple[np.ndarray, float]:
        with contextlib.redirect_stderr(io.StringIO()):
            _, _, f1 = bert_score.score(texts, known, model_type=location, num_layers=5, idf=True)
        bleu = BLEU().corpus_score(texts, [list(r) for r in zip(*known, strict=True)]).score
        return f1.numpy(), bleu

    def ours(
        references: References, predictions: dict[str, list[list[str]]]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        computed = BertScore(PACKAGED).statistics(references, predictions)
        means = {name: values[:, 0] / values[:, 1] for name, values in computed.items()}
        return means, Bleu().statistics(references, predictions)

    whole = References([Fold([""] * neurons, references)], ["layer"] * neurons)
    (f1, sums), own = timed("one method here", lambda: ours(whole, {"m": [said]}))
    (their_f1, their_bleu), theirs = timed("one call of each", lambda: plain(said, references))
    statistics = sums["m"]
    bleu = float(Bleu().aggregate(statistics.sum(0)))
    assert np.allclose(f1["m"], their_f1, atol=1e-5), np.abs(f1["m"] - their_f1).max()
    assert abs(bleu - their_bleu) < 1e-9
    print(f"ratio: {theirs / own:.1f}")

    held = References(leave_one_out(references), ["layer"] * neurons)
    people = [list(fold.held_out) for fold in held.folds]
    both = {"human": people, "m": [said] * 3}
    (f1, _), own = timed("a person and a method, held out, here", lambda: ours(held, both))
    calls = [(name, fold) for name in both for fold in range(3)]
    computed, theirs = timed(
        "six calls of each",
        lambda: [plain(both[name][fold], held.folds[fold].references)[0] for name, fold in calls],
    )
    # A call weights words by its own fold's references, and the harness by all of the split.
    for name, values in (("human", computed[:3]), ("m", computed[3:])):
        print(f"mean F1 of {name}: {f1[name].mean():.5f}, of the calls {np.mean(values):.5f}")
    print(f"ratio: {theirs / own:.1f}")

    metric = Bleu()
    _, ten_thousand = timed(
        "bootstrap of BLEU, 10,000 resamples", lambda: bootstrap(metric, statistics, 10_000)
    )

    def statistic(index: np.ndarray, axis: int) -> np.ndarray:
        return metric.aggregate(statistics[index].sum(axis=-2))

    def scipys() -> object:
        return stats.bootstrap(
            (np.arange(neurons),), statistic, n_resamples=200, batch=20, method="percentile",
            vectorized=True, rng=np.random.default_rng(0),
        )  # fmt: skip

    _, a_fiftieth = timed("scipy's bootstrap of the same, 200 resamples", scipys)
    print(f"ratio for as many: {50 * a_fiftieth / ten_thousand:.0f}")
    timed(
        "approximate randomization, 9,999 rounds",
        lambda: randomization(metric, statistics, np.roll(statistics, 1, axis=0)),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of all this: {peak:.2f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=12_000)
    main(parser.parse_args().neurons)
