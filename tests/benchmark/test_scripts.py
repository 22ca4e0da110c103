"""Metrics in many scripts: equal texts score the most, in whatever form of Unicode they come."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from benchmark.metrics.base import Metric, References
from benchmark.metrics.bertscore import BertScore
from benchmark.metrics.registry import MetricSettings, make_metrics, names
from benchmark.metrics.rouge import Rouge
from benchmark.references import Fold, leave_one_out
from benchmark.text_encoders import PACKAGED
from benchmark.tokenization import normalize, spaced, words

# "A red dog runs over the green grass", or near it; every sentence has at least four words as
# ``spaced`` and the tokenizers see them, since BLEU needs four.
SENTENCES = {
    "English": "A red dog runs over the grass",
    "German": "Ein großer roter Hund läuft über grünes Gras",
    "Turkish": "Kırmızı bir köpek İstanbul çimlerinde koşuyor",
    "Vietnamese": "Một con chó đỏ chạy trên cỏ xanh",
    "Greek": "Ένας κόκκινος σκύλος τρέχει στο γρασίδι",
    "Russian": "Красный йоркский пёс бежит по траве",
    "Armenian": "Կարմիր շունը վազում է խոտի վրա",
    "Georgian": "წითელი ძაღლი მირბის მწვანე ბალახზე",
    "Hebrew": "כלב אדום רץ על הדשא הירוק",
    "Arabic": "كلب أحمر يجري على العشب الأخضر",
    "Persian": "یک سگ قرمز روی چمن می‌دود",
    "Hindi": "एक लाल कुत्ता हरी घास पर दौड़ता है",
    "Bengali": "একটি লাল কুকুর সবুজ ঘাসের উপর দৌড়ায়",
    "Tamil": "ஒரு சிவப்பு நாய் புல்லில் ஓடுகிறது",
    "Amharic": "ቀይ ውሻ በአረንጓዴ ሣር ላይ ይሮጣል",
    "Korean": "빨간 개가 푸른 잔디 위를 달린다",
    "Chinese": "一只红色的狗在绿色的草地上奔跑",
    "Japanese": "赤い犬が緑の芝生の上をガタガタ走っている",
    "Thai": "สุนัขสีแดงวิ่งบนหญ้าสีเขียว",
    "Lao": "ໝາສີແດງແລ່ນເທິງຫຍ້າສີຂຽວ",
    "Khmer": "ឆ្កែក្រហមរត់លើស្មៅបៃតង",
    "Burmese": "ခွေးနီတစ်ကောင်မြက်ပေါ်တွင်ပြေးနေသည်",
    "Tibetan": "ཁྱི་དམར་པོ་ཞིག་རྩྭ་ལྗང་ཁུའི་ཐོག་ཏུ་རྒྱུག",
    "emoji": "🐕 🟥 🏃🏽 🌱 👩‍🔬 🇩🇪",
}
# Scripts that the packaged encoder has no tokens of: it reads every word as unknown, so sentences
# of as many words are one to it.
UNREAD = {"Amharic", "Thai", "Lao", "Khmer", "Burmese", "emoji"}
# The most that METEOR can be is below 1: a match of all words is one chunk, with a penalty of
# half the cube of chunks over words. ``meteor`` needs WordNet, and reads words as ``meteor-stem``.
TESTED = [
    name for name in names()
    if not name.startswith("meteor-corrected") and name.removesuffix("-corrected") != "meteor"
]  # fmt: skip


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    return {m.name: m for m in make_metrics(TESTED, MetricSettings(PACKAGED, PACKAGED))}


def _references(sentences: list[str], layers: int = 1) -> References:
    """Two equal annotations of each neuron."""
    references = leave_one_out([[text, text] for text in sentences])
    return References(references, [f"layer{i % layers}" for i in range(len(sentences))])


def _value(metric: Metric, of: References, said: list[str]) -> float:
    texts = [normalize(text) for text in said]
    values = metric.statistics(of, {"m": [texts] * len(of.folds)})["m"]
    return float(metric.aggregate(values.sum(0)))


def _values(metric: Metric, of: References, said: list[str]) -> np.ndarray:
    texts = [normalize(text) for text in said]
    return metric.per_neuron(metric.statistics(of, {"m": [texts] * len(of.folds)})["m"])


@pytest.mark.parametrize("name", TESTED)
def test_equal_text_scores_the_most_in_every_script(name: str, metrics: dict[str, Metric]) -> None:
    sentences = list(SENTENCES.values())
    metric = metrics[name]
    values = _values(metric, _references(sentences), sentences)
    if name == "meteor-stem":
        assert (values >= 1 - 0.5 / 4**3 - 1e-12).all(), dict(zip(SENTENCES, values, strict=True))
    elif name.endswith("-corrected"):
        assert _value(metric, _references(sentences), sentences) == pytest.approx(1, abs=1e-6)
    else:
        most = metric.bounds[1]
        read = [not name.startswith("identification") or s not in UNREAD for s in SENTENCES]
        assert values[read] == pytest.approx([most] * sum(read), rel=1e-6)
        assert (values >= (metric.info.chance or most - 1e-4)).all()


@pytest.mark.parametrize("name", TESTED)
def test_forms_of_unicode_score_alike(name: str, metrics: dict[str, Metric]) -> None:
    """Descriptions and references each composed or decomposed; words replaced, so none is 1."""
    rng = random.Random(0)
    references = [[text, _shuffled(text, rng), _shuffled(text, rng)] for text in SENTENCES.values()]
    descriptions = [_shuffled(text, rng) for text in SENTENCES.values()]
    values = {}
    for form in ("NFC", "NFD"):
        for other in ("NFC", "NFD"):
            of = References(
                leave_one_out(
                    [[unicodedata.normalize(form, t) for t in one] for one in references]
                ),
                ["layer"] * len(references),
            )
            texts = [unicodedata.normalize(other, text) for text in descriptions]
            values[form, other] = _value(metrics[name], of, texts)
    assert len({round(value, 9) for value in values.values()}) == 1, values
    low, high = metrics[name].bounds
    value = values["NFC", "NFC"]
    assert np.isfinite(value)
    assert low <= value <= high


@pytest.mark.parametrize("name", [name for name in TESTED if not name.endswith("-corrected")])
def test_order_of_references_does_not_matter(name: str, metrics: dict[str, Metric]) -> None:
    rng = random.Random(1)
    annotations = [[text, *(_shuffled(text, rng) for _ in range(3))] for text in SENTENCES.values()]
    # Two neurons with the same references tie, however these are ordered.
    annotations[3], annotations[4] = annotations[0][::-1], annotations[0][2:] + annotations[0][:2]
    descriptions = [one[1] for one in annotations]
    values = []
    for turn in range(3):
        references = [[normalize(text) for text in one[turn:] + one[:turn]] for one in annotations]
        of = References([Fold([""] * len(annotations), references)], ["layer"] * len(annotations))
        values.append(_values(metrics[name], of, descriptions))
    assert np.allclose(values[0], values[1], rtol=0, atol=1e-9)
    assert np.allclose(values[0], values[2], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in TESTED if not name.endswith("-corrected")])
def test_an_empty_description_tells_nothing(name: str, metrics: dict[str, Metric]) -> None:
    sentences = list(SENTENCES.values())[:12]
    metric = metrics[name]
    values = _values(metric, _references(sentences), ["", *sentences[1:]])
    # As in the original code, ROUGE over pairs leaves out pairs with an empty text.
    expected = metric.info.chance or 0.0
    assert np.isnan(values[0]) if "-pairs" in name else values[0] == pytest.approx(expected)
    assert np.isfinite(_value(metric, _references(sentences), ["", *sentences[1:]]))


def test_words_that_all_references_share_do_not_make_equal_text_worthless() -> None:
    metric = BertScore(PACKAGED)
    of = References([Fold([""] * 3, [["a dog"], ["a dog"], ["a dog"]])], ["l"] * 3)
    values = _values(metric, of, ["a dog", "dog", ""])
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert 0 < values[1] < 0.99
    assert values[2] == 0


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.characters(max_codepoint=127), max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=60),
)
def test_rouge_of_ascii_is_rouge_scores_own(text: str, reference: str) -> None:
    own = RougeScorer(["rougeL"], use_stemmer=True).score(reference, text)["rougeL"].fmeasure
    values = Rouge("l")._scorer.score(reference, text)["rougeL"].fmeasure
    assert values == pytest.approx(own, abs=1e-12)
    assert spaced(text) is text


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40))
def test_equivalent_texts_become_one(text: str) -> None:
    forms = {normalize(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert forms == {normalize(text)}
    assert unicodedata.is_normalized("NFC", normalize(text))


def test_words_by_hand() -> None:
    assert words("Ein großer Hund, läuft") == ["ein", "großer", "hund", "läuft"]
    assert words("红色的狗。") == ["红", "色", "的", "狗"]
    assert words("เก่ง") == ["เ", "ก่", "ง"]
    assert words("می‌دود") == ["می‌دود"]
    assert words("हिन्दी 개가") == ["हिन्दी", "개가"]
    assert words("?! — …") == []


def _shuffled(text: str, rng: random.Random) -> str:
    values = spaced(text).split()
    rng.shuffle(values)
    return " ".join(values[: max(4, len(values) - 1)])
