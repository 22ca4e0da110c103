"""milan-2: log probabilities token by token, the objective by hand, for four kinds of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from baselines.milan2.describer import Milan2
from baselines.milan2.vision_language import TextPrior, VisionLanguageModel
from benchmark.contrastive import ContrastiveModel
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.record import image_grid, masked_images
from tests.baselines import tiny_transformers as tiny
from tests.baselines.milan.made_up import neurons

KINDS: dict[str, Callable[[Path], Path]] = {
    "blip": tiny.tiny_blip, "git": tiny.tiny_git, "pair": tiny.tiny_pair, "llava": tiny.tiny_llava,
    "qwen": tiny.tiny_qwen,
}  # fmt: skip
ENDS = {"qwen": [2, 3]}  # of the others one token ends a text
TEXTS = ["red circles", "a dog", "blue striped squares and things"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = {name: str(make(tmp_path_factory.mktemp(name))) for name, make in KINDS.items()}
    made["clip"] = str(tiny.tiny_clip(tmp_path_factory.mktemp("clip")))
    made["siglip"] = str(tiny.tiny_siglip(tmp_path_factory.mktemp("siglip")))
    made["text"] = str(tiny.tiny_language_model(tmp_path_factory.mktemp("text")))
    return made


def picture() -> Image.Image:
    image: Image.Image = neurons(1)[0]["images"][0]
    return image


def step_by_step(
    speaker: VisionLanguageModel, tokens: list[int], image: Image.Image
) -> torch.Tensor:
    """Log probabilities of what follows some tokens: the model run once, on nothing longer."""
    given: dict[str, Any] = dict(speaker._inputs(image))
    before = given.pop("input_ids", torch.tensor([[1]]))
    given.pop("attention_mask", None)
    words = torch.cat([before, torch.tensor([tokens], dtype=torch.int64)], dim=1)
    for key in [key for key in given if key.endswith("token_type_ids")]:
        given[key] = torch.nn.functional.pad(given[key], (0, len(tokens)))
    name = "decoder_input_ids" if speaker._kind == "vision-encoder-decoder" else "input_ids"
    with torch.inference_mode():
        logits = speaker._model(**given, **{name: words}).logits
    return logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_token_by_token(folders: dict[str, str], kind: str) -> None:
    speaker, tokenizer = VisionLanguageModel(folders[kind]), tiny.word_tokenizer()
    found = speaker.log_prob(TEXTS, picture())
    for text, value in zip(TEXTS, found, strict=True):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = sum(
            float(step_by_step(speaker, tokens[:at], picture())[token])
            for at, token in enumerate(tokens)
        )
        after = step_by_step(speaker, tokens, picture())
        expected += float(after[ENDS.get(kind, [2])].logsumexp(0))
        assert float(value) == pytest.approx(expected, abs=1e-3)
    # Neither neighbours nor padding matter.
    for text, value in zip(TEXTS, found, strict=True):
        assert float(speaker.log_prob([text], picture())) == pytest.approx(float(value), abs=1e-4)
    assert speaker.log_prob([], picture()).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_beam_of_one_proposes_the_most_probable_words(folders: dict[str, str], kind: str) -> None:
    speaker, tokenizer = VisionLanguageModel(folders[kind]), tiny.word_tokenizer()
    tokens: list[int] = []
    while len(tokens) < 6 and not {*tokens[-1:]} & {*ENDS.get(kind, [2])}:
        tokens.append(int(step_by_step(speaker, tokens, picture()).argmax()))
    expected = tokenizer.decode(tokens, skip_special_tokens=True)
    proposed = speaker.propose(picture(), 1, length=6)
    if proposed:
        assert proposed == [expected]
    else:
        assert expected.strip() == ""
    assert len(speaker.propose(picture(), 4, length=6)) <= 4


@pytest.mark.parametrize("kind", ["blip", "llava"])
@pytest.mark.parametrize("contrastive", ["clip", "siglip"])
def test_the_objective_by_hand(folders: dict[str, str], kind: str, contrastive: str) -> None:
    record = neurons(1)[0]
    describer = Milan2(
        model=folders[kind], clip=folders[contrastive], pmi=0.3, clip_weight=2.0, pictures=2,
        device="cpu",
    )  # fmt: skip
    speaker, clip = VisionLanguageModel(folders[kind]), ContrastiveModel(folders[contrastive])
    masked = masked_images(record, 0.75)
    pictures = [image_grid(masked, 5)] if kind == "llava" else masked
    given = torch.stack([speaker.log_prob(TEXTS, p) for p in pictures]).mean(0)
    prior = speaker.log_prob(TEXTS, Image.new("RGB", pictures[0].size, (127, 127, 127)))
    said = clip.texts(TEXTS)
    if contrastive == "clip":
        masks = torch.stack([pil_to_tensor(m.convert("L"))[0] / 255 for m in record["masks"]])
        seen = clip.images(record["images"], masks)
    else:
        seen = clip.images(masked)
    similarity = (seen @ said.T).mean(0) * clip.module.logit_scale.exp()
    expected = given - 0.3 * prior + 2 * similarity
    assert torch.allclose(describer.scores(record, TEXTS), expected, atol=1e-3)
    plain = Milan2(model=folders[kind], pmi=0, device="cpu")
    assert torch.allclose(plain.scores(record, TEXTS), given, atol=1e-4)


def test_a_language_model_as_prior(folders: dict[str, str]) -> None:
    prior = TextPrior(folders["text"])
    tokenizer = tiny.word_tokenizer()
    found = prior.log_prob(TEXTS)
    for text, value in zip(TEXTS, found, strict=True):
        words = [1, *tokenizer(text, add_special_tokens=False)["input_ids"], 2]
        total = 0.0
        for at in range(1, len(words)):
            with torch.inference_mode():
                logits = prior._model(input_ids=torch.tensor([words[:at]])).logits[0, -1]
            total += float(logits.log_softmax(-1)[words[at]])
        assert float(value) == pytest.approx(total, abs=1e-3)
    record = neurons(1)[0]
    with_prior = Milan2(model=folders["blip"], prior=folders["text"], pmi=0.5, device="cpu")
    without = Milan2(model=folders["blip"], pmi=0, device="cpu")
    expected = without.scores(record, TEXTS) - 0.5 * found
    assert torch.allclose(with_prior.scores(record, TEXTS), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_describing(folders: dict[str, str], kind: str) -> None:
    records = neurons(2)
    describer = create("milan-2", model=folders[kind], clip=folders["clip"], length=5, device="cpu")
    found = describer.describe(records)
    for record, description in zip(records, found, strict=True):
        texts = describer.candidates(record)  # type: ignore[attr-defined]
        scores = describer.scores(record, texts)  # type: ignore[attr-defined]
        assert description.text == texts[int(scores.argmax())]
        assert description.score == pytest.approx(float(scores.max()), abs=1e-3)
        assert len(description.alternatives) == min(4, len(texts) - 1)
    # What stands beside a neuron changes nothing.
    alone = describer.describe(records.select([1]))[0]
    assert alone.text == found[1].text


def test_mistakes(folders: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        Milan2(model=str(tmp_path / "none"), device="cpu")
    with pytest.raises(InputError, match="cannot be loaded"):
        Milan2(model=folders["text"], device="cpu")
    for options, message in (
        ({"pmi": -1}, "pmi=-1"), ({"proposals": 0}, "proposals"), ({"opacity": 2}, "opacity"),
        ({"clip": folders["text"]}, "name a CLIP or SigLIP"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            Milan2(model=folders["blip"], device="cpu", **options)
    bare = neurons(1).map(lambda row: {"masks": []}, features=neurons(1).features)
    with pytest.raises(InputError, match="3 images and 0 masks"):
        Milan2(model=folders["blip"], device="cpu").describe(bare)
