"""Audits: decoys, false discoveries and comparisons against what can be worked out."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from applications.audit.audit_report import write_report
from applications.audit.conditions import MatchCount, compare, parse_name
from applications.audit.decoys import make_decoys
from applications.audit.false_matches import (
    DECOYS,
    UNTRAINED,
    NullUnits,
    estimate_false_matches,
    prediction,
)
from applications.audit.network_audit import (
    audit_descriptions,
    layer_table,
    unit_table,
    write_tables,
)
from applications.network_descriptions import DescribedNetwork, LazyDescriber
from applications.word_search import WordSearch, some_matches
from milannotations.describer import Description
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.record import validate


@pytest.fixture(scope="module")
def neurons():
    return load_split("demo", "test")


class Pictures:
    """Images that exemplars may have been chosen from: the demo's own, as a source."""

    def __init__(self, neurons):
        self.pictures = [image for record in neurons for image in record["images"][:3]]

    def __len__(self):
        return len(self.pictures)

    def image(self, index):
        return self.pictures[index]


def test_decoys_do_not_care_what_they_see(neurons):
    source = Pictures(neurons)
    made = make_decoys(neurons, source, seed=1)
    by_layer = pd.Series(neurons["layer"]).value_counts()
    assert pd.Series(made.layers).value_counts().to_dict() == by_layer.to_dict()
    masks = {}
    for record in neurons:
        masks.setdefault(record["layer"], set()).update(m.tobytes() for m in record["masks"])
    used = []
    for row in range(len(made.neurons)):
        record = made.neurons[row]
        validate(record)
        assert len(record["masks"]) == 15 and len(set(record["image_ids"])) == 15
        assert {mask.tobytes() for mask in record["masks"]} <= masks[record["layer"]]
        used += record["image_ids"]
    # Every image as often as any other: a Poisson number with this mean.
    counts = np.bincount(used, minlength=len(source))
    mean = counts.mean()
    assert abs(counts.var() / mean - 1) < 0.35
    again = make_decoys(neurons, source, seed=1)
    assert again.neurons["image_ids"] == made.neurons["image_ids"]
    assert make_decoys(neurons, source, seed=2).neurons["image_ids"] != made.neurons["image_ids"]
    few = make_decoys(neurons, source, seed=1, most=3)
    assert max(pd.Series(few.layers).value_counts()) == 3


def decoys_of(layers, hits, scores):
    return NullUnits(DECOYS, tuple(layers), tuple(hits), tuple(scores), (0,) * len(layers))


def test_false_discoveries_by_hand():
    units = [("a", i) for i in range(10)] + [("b", i) for i in range(20)]
    matched = {("a", 0): 0.9, ("a", 1): 0.8, ("b", 0): 0.7, ("b", 1): 0.2}
    layers = ["a"] * 5 + ["b"] * 10  # each stands for two units
    hits = [True, False, False, False, False] + [False] * 10
    scores = [0.75] + [0.1] * 14
    outcome = estimate_false_matches(units, matched, decoys_of(layers, hits, scores))
    # 2 of 30 would match if all were null; 27 of 28 do not: 27/28 of the units are null.
    null = 27 / 28
    assert outcome.false == pytest.approx(2 * null + 2)
    assert outcome.rate == pytest.approx((2 * null + 2) / 4)
    assert math.isnan(outcome.low) and outcome.shares == ()
    # From the most confident on: (0+2)/1 -> 1, (0+2)/2 = 1, (2+2)/3 -> 1, (2+2)/4 = 1.
    assert [outcome.q[u] for u in matched] == pytest.approx([0.982] * 4, abs=0.001)
    many = {("b", i): 1.0 - i / 100 for i in range(20)}
    clean = estimate_false_matches(units, many, decoys_of(layers, [False] * 15, [0.0] * 15))
    assert clean.rate == pytest.approx(2 / 20)
    assert clean.confident() == 20 and outcome.confident() == 0
    assert clean.q["b", 19] == pytest.approx(0.1)
    # No unit is less sure than one that is less confident.
    values = [clean.q["b", i] for i in range(20)]
    assert values == sorted(values)
    without = estimate_false_matches(
        units, dict.fromkeys(many), decoys_of(layers, [False] * 15, [None] * 15)
    )
    assert all(math.isnan(v) for v in without.q.values()) and without.rate == clean.rate
    assert estimate_false_matches(units, {}, decoys_of(layers, hits, scores)).rate == 1.0


def test_interval_over_networks_by_hand():
    units = [("a", i) for i in range(100)]
    matched = {units[i]: None for i in range(40)}
    shares = [0.2, 0.3, 0.4]
    flags = [flag for share in shares for flag in [True] * round(100 * share)
             + [False] * round(100 - 100 * share)]  # fmt: skip
    nulls = NullUnits(UNTRAINED, ("a",) * 300, tuple(flags), (None,) * 300,
                      tuple(n for n in range(3) for _ in range(100)))  # fmt: skip
    outcome = estimate_false_matches(units, matched, nulls)
    assert outcome.shares == pytest.approx(shares)
    # With a share p of untrained units matching, (100 - 40 + 1) / (100 - 100 p) are null.
    rates = [min(1, 61 / (100 - 100 * p)) * 100 * p / 40 for p in shares]
    assert outcome.rate == pytest.approx((61 / 70 * 30 + 1 / 3) / 40)
    half = stats.t.ppf(0.975, 2) * np.std(rates, ddof=1) * math.sqrt(4 / 3)
    assert outcome.low == pytest.approx(max(0, np.mean(rates) - half))
    assert outcome.high == pytest.approx(min(1, np.mean(rates) + half))


def test_estimate_by_confidence_by_hand():
    units = [("a", i) for i in range(60)]
    matched = {units[i]: score for i, score in enumerate([0.1, 0.2, 0.3, *[0.9] * 17])}
    # Of either network 10 of 60 match, with a confidence of .05 to .95; the median is .5.
    levels = [0.05 + 0.1 * i for i in range(10)]
    nulls = NullUnits(UNTRAINED, ("a",) * 120, tuple([True] * 10 + [False] * 50) * 2,
                      tuple(levels + [0.5] * 50) * 2, (0,) * 60 + (1,) * 60)  # fmt: skip
    outcome = estimate_false_matches(units, matched, nulls)
    assert outcome.false == pytest.approx((3 + 1) / 0.5) and outcome.rate == pytest.approx(8 / 20)
    # Both networks give 6 of 20; what is left is the chance in 3 of 6 binomial matches.
    half = stats.t.ppf(0.975, 1) * math.sqrt(3 / 0.5 * 0.5 / 0.5) / 20
    assert (outcome.low, outcome.high) == pytest.approx((max(0, 0.3 - half), min(1, 0.3 + half)))
    # As many as 4 of 10 null matches are at least .65, each of which stands for 8 / 10 units.
    assert outcome.q[units[5]] == pytest.approx((2 * 0.5 * 0.8 * 1 + 0.5) / 17)


@pytest.mark.parametrize(("true", "other", "chance"),
                         [(0, 0, 0.6), (40, 0, 0.6), (40, 100, 0.6), (10, 120, 0.4)])  # fmt: skip
def test_estimate_by_confidence_bears_units_that_learned_something_else(true, other, chance):
    """Units that never match make counts useless; the matches of little confidence still tell."""
    rng = np.random.default_rng(0)
    units = [("a", i) for i in range(200)]
    estimates, truths, inside = [], [], []
    for _ in range(80):
        by_chance = rng.random(200 - true - other) < chance
        matched = {units[i]: float(rng.random()) for i in np.flatnonzero(by_chance)}
        matched |= {units[199 - i]: float(rng.uniform(0.7, 1)) for i in range(true)}
        drawn = tuple((rng.random(600) < chance).tolist())
        nulls = NullUnits(UNTRAINED, ("a",) * 600, drawn, tuple(rng.random(600).tolist()),
                          tuple(n for n in range(3) for _ in range(200)))  # fmt: skip
        outcome = estimate_false_matches(units, matched, nulls)
        estimates.append(outcome.rate)
        truths.append(by_chance.sum() / len(matched))
        inside.append(outcome.low <= truths[-1] <= outcome.high)
    assert np.mean(truths) - 0.06 < np.mean(estimates) < np.mean(truths) + 0.06
    assert np.mean(inside) > 0.93


@pytest.mark.parametrize(("true", "chance"), [(0, 0.6), (30, 0.1), (60, 0.5), (150, 0.6)])
def test_estimate_is_right_on_average(true, chance):
    """Units that match by chance with a known rate, and others that truly match."""
    rng = np.random.default_rng(0)
    units = [("a", i) for i in range(200)]
    estimates, truths = [], []
    for _ in range(100):
        by_chance = rng.random(200 - true) < chance
        matched = {units[i]: None for i in np.flatnonzero(by_chance)}
        matched |= {units[i]: None for i in range(200 - true, 200)}
        drawn = tuple((rng.random(600) < chance).tolist())
        networks = tuple(n for n in range(3) for _ in range(200))
        nulls = NullUnits(UNTRAINED, ("a",) * 600, drawn, (None,) * 600, networks)
        estimates.append(estimate_false_matches(units, matched, nulls).rate)
        truths.append(by_chance.sum() / len(matched))
    # Where all is false the estimate, cut at 1, cannot be above on average.
    assert np.mean(truths) - 0.08 < np.mean(estimates) < np.mean(truths) + 0.02


def count(name, flags, layers=None):
    condition, pair = parse_name(name)
    return MatchCount(name, condition, pair, tuple(flags), tuple(layers or ["a"] * len(flags)))


def test_compared_in_pairs_as_student_and_an_exact_test_do():
    rng = np.random.default_rng(3)
    counts = []
    for seed in range(6):
        counts.append(count(f"plain/{seed}", rng.random(100) < 0.3))
        counts.append(count(f"blurred/{seed}", rng.random(100) < 0.1))
    (effect,) = compare(counts)
    gaps = [a.value - b.value for a, b in effect.pairs.values()]
    expected = stats.ttest_1samp(gaps, 0).confidence_interval()
    assert effect.over == "pairs" and len(effect.pairs) == 6
    assert effect.difference.value == pytest.approx(np.mean(gaps))
    assert effect.difference.low == pytest.approx(expected.low)
    assert effect.difference.high == pytest.approx(expected.high)
    assert effect.p == pytest.approx(2 / 2**6)  # all gaps of one sign
    assert effect.totals[0] > effect.totals[1]


def test_two_networks_are_compared_over_their_units():
    first, second = (
        count("one", [True] * 30 + [False] * 70),
        count("two", [True] * 10 + [False] * 90),
    )
    (effect,) = compare([first, second], resamples=4000)
    assert effect.over == "units" and math.isnan(effect.p)
    # The usual interval of a difference of shares.
    half = 1.96 * math.sqrt(0.3 * 0.7 / 100 + 0.1 * 0.9 / 100)
    assert effect.difference.value == pytest.approx(0.2)
    assert effect.difference.low == pytest.approx(0.2 - half, abs=0.012)
    assert effect.difference.high == pytest.approx(0.2 + half, abs=0.012)
    assert compare([first, count("two/x", [True, False])]) == []


class Parrot:
    """Says of every neuron what its layer and unit tell, and of decoys nothing."""

    sees_references = False

    def fit(self, neurons):
        pass

    def describe(self, neurons):
        return [
            Description(
                text="circles" if d == "decoys" or u % 3 else "smiling faces <b>", score=u / 9
            )
            for d, u in zip(neurons["dataset"], neurons["unit"], strict=True)
        ]


def described(neurons, name="net"):
    parrot = Parrot()
    said = parrot.describe(neurons)
    units = list(zip(map(str, neurons["layer"]), map(int, neurons["unit"]), strict=True))
    points = {layer: SimpleNamespace(units=1000) for layer in dict.fromkeys(u[0] for u in units)}
    loaded = SimpleNamespace(name=name, dataset="demo")
    return DescribedNetwork(loaded, torch.device("cpu"), points, units, [d.text for d in said],
                     [d.score for d in said], neurons, Pictures(neurons))  # fmt: skip


def test_an_audit_from_beginning_to_end(neurons, tmp_path):
    networks = {"plain/0": described(neurons), "blurred/0": described(neurons.select(range(40)))}
    search = WordSearch.of(["face"])
    speaker = LazyDescriber(trained=(Parrot(), "parrot"))
    outcome = audit_descriptions(networks, search, speaker, tmp_path)
    truth = {u for u in networks["plain/0"].units if u[1] % 3 == 0}
    assert set(outcome.networks[0].matches) == truth
    assert outcome.networks[0].false_matches.matched_nulls == 0
    assert outcome.networks[0].false_matches.rate == pytest.approx(
        1 / len(truth)
    )  # one more than seen
    table = layer_table(outcome)
    whole = table[(table["network"] == "plain/0") & (table["layer"] == "all")].iloc[0]
    assert (whole["units"], whole["matching"]) == (len(neurons), len(truth))
    units = unit_table(outcome)
    assert len(units) == sum(len(one.matches) for one in outcome.networks)
    write_tables(outcome, tmp_path)
    assert set(pd.read_csv(tmp_path / "comparison.csv")["pair"].astype(str)) == {"0", "mean"}
    page = write_report(outcome, tmp_path, {"method": "parrot <x>"}).read_text()
    assert "<mark>faces</mark> &lt;b&gt;" in page and "parrot &lt;x&gt;" in page
    assert "<b>" not in page


def test_finding_nothing_is_a_result(neurons, tmp_path):
    net = described(neurons)
    search = WordSearch.of(["zebra (.*)"])
    outcome = audit_descriptions(
        {"net": net}, search, LazyDescriber(trained=(Parrot(), "parrot")), tmp_path
    )
    assert outcome.networks[0].matches == {}
    assert outcome.networks[0].summary == "net: 0 of 85 units match"
    write_tables(outcome, tmp_path)
    card = pd.read_csv(tmp_path / "model-card.csv")
    assert card["matching"].sum() == 0 and card["false_discovery"].isna().all()
    assert len(pd.read_csv(tmp_path / "units.csv")) == 0
    page = write_report(outcome, tmp_path, {}).read_text()
    assert "No unit of net is described with zebra" in page
    assert "None of 85 units is described with zebra" in page and "circles" in page


def test_a_network_with_random_weights_is_no_better_than_itself(neurons, tmp_path):
    """Units that match for no reason are all false by a control, and hardly any by decoys."""
    net, others = described(neurons), [described(neurons, f"random-{n}") for n in range(3)]
    search, speaker = WordSearch.of(["face"]), LazyDescriber(trained=(Parrot(), "parrot"))
    outcome = audit_descriptions(
        {"net": net}, search, speaker, tmp_path, controls={"net": others}
    ).networks[0]
    assert outcome.decoys.rate < 0.05
    assert outcome.control.rate == pytest.approx(1.0) and outcome.false_matches is outcome.control
    assert outcome.control.low < 1.0 == outcome.control.high
    assert outcome.control.confident() == 0
    assert outcome.untrained_share() == len(outcome.matches) / len(net.units)
    half = [replace(one, texts=["nothing" for _ in one.texts]) for one in others]
    whole = audit_descriptions({"net": net}, search, speaker, tmp_path, controls={"net": half})
    assert whole.networks[0].control.rate < 0.05
    write_tables(whole, tmp_path)
    table = pd.read_csv(tmp_path / "random-weights.csv")
    assert table["matching"].sum() == 0 and table["units"].sum() == 3 * len(neurons)
    page = write_report(whole, tmp_path, {}).read_text()
    assert "What a network that has learned nothing gives" in page


def test_prediction_covers_one_more_of_the_same():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.5, 0.05, (400, 4))
    inside = [low <= one <= high for *rest, one in draws for low, high in [prediction(rest)]]
    assert 0.91 < np.mean(inside) < 0.985
    assert all(math.isnan(end) for end in prediction([0.3]))


def test_words_that_none_or_all_have(neurons, tmp_path):
    net = described(neurons)
    assert some_matches(WordSearch.of(["zebra"]), net) == {}
    with pytest.raises(InputError, match="all 85 units"):
        some_matches(WordSearch.of(["circles", "faces"]), net)
    with pytest.raises(InputError, match="cannot be searched"):
        WordSearch.of([".*"])
    assert some_matches(WordSearch.of(["face.*"]), net)  # literal text: the signs do not matter
