"""Saving, loading, and what does not fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.features.cache import exemplar_features
from baselines.milan import describer as describer_module
from baselines.milan import hub as model_hub
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.model import Milan
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.record import keys_of
from tests.baselines.milan.made_up import neurons, some_features, tiny_encoder, tiny_model
from tests.baselines.tiny_transformers import tiny_clip


def with_encoder(seed: int = 0) -> Milan:
    model = tiny_model(seed)
    model._encoder.append(tiny_encoder())
    return model


def test_a_model_describes_as_before_after_a_round_trip(tmp_path: Path) -> None:
    model, records = with_encoder(), neurons(4)
    folder = model.save_pretrained(tmp_path / "model")
    loaded = Milan.from_pretrained(folder, "cpu")
    loaded._encoder.append(tiny_encoder())
    assert loaded.config == model.config and loaded.vocabulary == model.vocabulary
    for name in VARIANTS:
        assert model.describe(records, VARIANTS[name]) == loaded.describe(records, VARIANTS[name])
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert len(modes) == 1  # all may be read by the same people
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n") and "| encoder | tests: 0, 2 |" in card
    with pytest.raises(InputError, match="not empty"):
        model.save_pretrained(folder)
    model.save_pretrained(folder, overwrite=True)


def test_alternatives_are_the_other_candidates() -> None:
    model, records = with_encoder(), neurons(3)
    many = model.describe(records, alternatives=20)
    few = model.describe(records, alternatives=2)
    assert [d.text for d in many] == [d.text for d in few]
    for long, short in zip(many, few, strict=True):
        assert short.alternatives == long.alternatives[:2]
        assert long.text not in long.alternatives
        assert len(set(long.alternatives)) == len(long.alternatives) == 20
    assert model.describe(records.select([])) == []


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batch_size_changes_no_word(batch_size: int) -> None:
    model, records = with_encoder(), neurons(5)
    said = [d.text for d in model.describe(records, batch_size=batch_size)]
    assert said == [d.text for d in model.describe(records)]
    alone = [model.describe(records.select([row]))[0].text for row in range(5)]
    assert said == alone


def test_masks_of_zeros_are_described() -> None:
    (description, *_) = with_encoder().describe(neurons(2, empty=True))
    assert description.score is not None and description.text


def test_another_number_of_exemplars() -> None:
    model = with_encoder()
    with pytest.raises(InputError, match=r"have 5 exemplars.*trained on 3.*any_k"):
        model.describe(neurons(2, k=5))
    assert len(model.describe(neurons(2, k=5), any_k=True)) == 2
    mixed = neurons(2).to_list() + neurons(1, k=5).to_list()
    from datasets import Dataset

    records = Dataset.from_list(mixed, features=neurons(1).features)
    with pytest.raises(InputError, match="different numbers"):
        model.describe(records)
    with pytest.raises(InputError, match="features are of shape"):
        model.describe(neurons(3), features=some_features(2))


def changed(folder: Path, file: str, change: Any) -> None:
    plain = json.loads((folder / file).read_text())
    change(plain)
    (folder / file).write_text(json.dumps(plain))


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    def saved(name: str) -> Path:
        return tiny_model().save_pretrained(tmp_path / name)

    folder = saved("version")
    changed(folder, "config.json", lambda plain: plain.update(format=99))
    with pytest.raises(InputError, match=r"config\.json is of format 99"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("unknown")
    changed(folder, "config.json", lambda plain: plain.update(colour="red"))
    with pytest.raises(InputError, match="colour"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("vocabulary")
    changed(folder, "vocabulary.json", lambda plain: plain["words"].append("green"))
    with pytest.raises(InputError, match=r"for 9 words, and the vocabulary has 10"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("language model")
    state = load_file(folder / "model.safetensors")
    embedding = state["language_model.embedding.weight"]
    state["language_model.embedding.weight"] = torch.cat([embedding, embedding[:1]])
    save_file(state, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"language_model.*10 words.*one training"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("sizes")
    changed(folder, "config.json", lambda plain: plain["decoder"].update(hidden=9))
    with pytest.raises(InputError, match="do not fit the model"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("damaged")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no sound file of tensors"):
        Milan.from_pretrained(folder, "cpu")
    folder = saved("no words")
    (folder / "vocabulary.json").write_text('{"words": 3}')
    with pytest.raises(InputError, match="no list of words"):
        Milan.from_pretrained(folder, "cpu")


def test_masks_can_be_ignored(tmp_path: Path) -> None:
    model, records = with_encoder(), neurons(3)
    seen = model.features(records)
    model.use_masks("none")
    spec = tiny_model().config.encoder.model_copy(update={"masks": "none"})
    assert torch.equal(model.features(records), exemplar_features(tiny_encoder(spec), records))
    assert not torch.allclose(model.features(records), seen)
    loaded = Milan.from_pretrained(model.save_pretrained(tmp_path / "model"), "cpu")
    assert loaded.config.encoder.masks == "none"


@pytest.mark.parametrize("name", ["os:getcwd", "hub:owner/repository:entry"])
def test_a_model_that_names_code_as_its_encoder(tmp_path: Path, name: str) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    changed(folder, "config.json", lambda plain: plain["encoder"].update(model=name))
    with pytest.raises(InputError, match="runs code of its own"):
        Milan.from_pretrained(folder, "cpu")
    with pytest.raises(InputError, match="runs code of its own"):
        create("milan", model=str(folder), device="cpu")
    assert Milan.from_pretrained(folder, "cpu", trust_encoder=True).config.encoder.model == name


def test_absurd_sizes_are_refused_without_memory(tmp_path: Path) -> None:
    for number, change in enumerate(
        (
            {"features": 10**13},
            {"decoder": {"hidden": 10**10}},
            {"language_model": {"layers": 20_000}},
            {"encoder": {**tiny_model().config.encoder.model_dump(), "weights": "/etc/passwd"}},
            {"encoder": {**tiny_model().config.encoder.model_dump(), "weights": "included"}},
        )
    ):
        folder = tiny_model().save_pretrained(tmp_path / str(number))
        changed(folder, "config.json", lambda plain, change=change: plain.update(change))
        with pytest.raises(InputError):
            Milan.from_pretrained(folder, "cpu")
    folder = tiny_model().save_pretrained(tmp_path / "half")
    state = load_file(folder / "model.safetensors")
    save_file({n: v.half() for n, v in state.items()}, folder / "model.safetensors")
    with pytest.raises(InputError, match="parameters are float32"):
        Milan.from_pretrained(folder, "cpu")


def test_what_cannot_be_described_is_said_before_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    describer = create("milan", model=str(folder), device="cpu")
    monkeypatch.setattr(Milan, "features", lambda *_, **__: pytest.fail("features were computed"))
    with pytest.raises(InputError, match="have 5 exemplars"):
        describer.describe(neurons(2, k=5))
    describer._model.language_model = None
    with pytest.raises(InputError, match="needs a language model"):
        describer.describe(neurons(2))
    assert describer.describe(neurons(1).select([])) == []


def test_features_that_are_no_numbers() -> None:
    features = some_features(3)
    features[1, 0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        tiny_model().describe_features(keys_of(neurons(3)), features)


def test_candidates_are_reranked_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tiny_clip(tmp_path / "clip")
    folder = tiny_model().save_pretrained(tmp_path / "model")

    def described() -> list[str]:
        made = create("milan", model=str(folder), clip=str(clip), beam=6, device="cpu")
        made._model._encoder.append(tiny_encoder())
        return [d.text for d in made.describe(records)]

    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    records = neurons(5)
    together = described()
    monkeypatch.setattr(describer_module, "_BLOCK", 2)
    assert described() == together
    bare = records.map(lambda row: {"masks": []}, features=records.features)
    made = create("milan", model=str(folder), clip=str(clip), masks="none", device="cpu")
    with pytest.raises(InputError, match="CLIP needs one for each"):
        made.describe(bare)


def test_another_encoder_is_noticed(tmp_path: Path) -> None:
    model = tiny_model()
    spec = model.config.encoder.model_copy(
        update={"model": "torchvision:resnet18", "layers": ("layer1",), "weights": "random"}
    )
    update = {"encoder": spec, "encoder_identity": "0" * 32}
    model.config = model.config.model_copy(update=update)
    with pytest.raises(InputError, match="are other than those"):
        _ = model.encoder


def test_places_where_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json"):
        Milan.from_pretrained(tmp_path)
    with pytest.raises(InputError, match="neither a folder nor OWNER/NAME"):
        Milan.from_pretrained("./nowhere")
    (tmp_path / "milan-base.pth").write_bytes(b"")
    with pytest.raises(InputError, match="import-checkpoint"):
        Milan.from_pretrained(tmp_path / "milan-base.pth")
    with pytest.raises(InputError, match="cannot be downloaded from the hub"):
        Milan.from_pretrained("owner/name")


def test_pushing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, Any] = {}

    class Api:
        endpoint = "https://hub"

        def __init__(self, token: str | None = None) -> None:
            calls["token"] = token

        def create_repo(self, repository: str, **options: Any) -> None:
            calls["created"] = (repository, options["private"])

        def upload_folder(self, repo_id: str, folder_path: str, **options: Any) -> Any:
            calls["files"] = sorted(p.name for p in Path(folder_path).iterdir())
            loaded = Milan.from_pretrained(folder_path, "cpu")
            assert loaded.config == tiny_model().config

            class Commit:
                commit_url = f"https://hub/{repo_id}"

            return Commit()

    monkeypatch.setattr(model_hub, "HfApi", Api)
    monkeypatch.setattr(model_hub, "check_hub", lambda what, endpoint: None)
    assert tiny_model().push_to_hub("me/model", private=True) == "https://hub/me/model"
    assert calls["created"] == ("me/model", True)
    assert calls["files"] == sorted(model_hub.FILES)
    with pytest.raises(InputError, match="OWNER/NAME"):
        tiny_model().push_to_hub("model")


def test_the_describers_options(tmp_path: Path) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    for options, message in (
        ({"variant": "beem"}, "did you mean 'beam'"),
        ({"pmi": -1}, "pmi"),
        ({"beam": "many"}, "beam"),
        ({"beans": 3}, r"no option 'beans'"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 3, "hidden": 8}, r"hidden, epochs is for training, and model="),
        ({"masks": "soft"}, "choose one of bilinear, area, none"),
        ({"clip_weight": 0.5, "clip": str(tmp_path / "no")}, "cannot be loaded"),
    ):
        with pytest.raises(InputError, match=message):
            describer = create("milan", model=str(folder), device="cpu", **options)
            describer.describe(neurons(1))
    with pytest.raises(InputError, match="milan has no model"):
        create("milan", encoder="efficientnet_lite0", device="cpu").describe(neurons(1))


def test_decoding_of_the_model_itself_is_the_default() -> None:
    model = with_encoder()
    config = model.config.model_copy(update={"decoding": Decoding(strategy="greedy", pmi=0)})
    model.config = config
    records = neurons(3)
    assert model.describe(records) == model.describe(records, VARIANTS["greedy"])
