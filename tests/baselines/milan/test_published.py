"""Published models by name or URL, from a host on this machine; and tensors in place of records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from datasets import Dataset
from torchvision.transforms.v2 import functional as transforms
from typer.testing import CliRunner

from baselines.milan.checkpoint import PUBLISHED
from baselines.milan.commands import import_app
from baselines.milan.config import ClipSpec
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.model import Milan
from baselines.milan.output import MilanOutput
from milannotations.data_home import HOME_VARIABLE
from milannotations.describer import create
from milannotations.download import transfer
from milannotations.errors import InputError
from milannotations.provenance import published_training_data
from milannotations.record import NeuronKey, keys_of
from tests.baselines.milan.made_up import (
    log_prob_by_hand,
    neurons,
    some_features,
    tiny_encoder,
    tiny_model,
)
from tests.baselines.milan.test_checkpoint import checkpoint
from tests.baselines.tiny_transformers import tiny_clip


@dataclass
class Host:
    url: str = ""
    body: bytes = b""
    cuts: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host that serves one checkpoint under any name, in parts too."""
    state = Host(body=checkpoint(tmp_path).read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append((self.path, asked))
            first = int(asked[6:-1]) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(state.body) - first))
            if asked:
                last = len(state.body) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(state.body)}")
            self.end_headers()
            cut = state.cuts.pop(0) if state.cuts else len(state.body)
            self.wfile.write(state.body[first : first + cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(transfer.MIRRORS_VARIABLE, f"{state.url}/mirror")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)
    for group in PUBLISHED:
        monkeypatch.setitem(PUBLISHED, group, f"{state.url}/authors/milan-{group}.pth")
    yield state
    server.shutdown()
    server.server_close()


def same_weights(first: Milan, second: Milan) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def test_a_published_model_is_fetched_resumed_imported_and_kept(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.cuts = [3_000_000]
    model = Milan.pretrained("base", "cpu")
    assert [path for path, _ in host.asked] == ["/mirror/milan-base.pth"] * 2
    assert host.asked[1][1] is not None and host.asked[1][1].startswith("bytes=")  # went on
    assert "MIT licence" in capsys.readouterr().err
    whole = Milan.from_checkpoint(tmp_path / "milan-test.pth")
    assert same_weights(model, whole)
    assert model.config.trained_on == published_training_data("base")
    assert whole.config.trained_on is None  # its name is none of the published ones
    # The next time nothing is asked for, whichever way it is named.
    assert same_weights(Milan.from_pretrained("base", "cpu"), model)
    clip = Milan.pretrained("base+clip", "cpu")
    assert len(host.asked) == 2
    assert clip.config.decoding == Decoding(strategy="beam", pmi=0.5, beam=1000, length=4)
    assert clip.config.clip is not None
    assert clip.config.clip.model == "openai/clip-vit-base-patch32"
    assert create("milan", model="base", device="cpu").trained_on == model.config.trained_on  # type: ignore[attr-defined]


def test_another_file_of_the_same_name_is_refused(host: Host, tmp_path: Path) -> None:
    Milan.pretrained("cls", "cpu")
    known = json.loads((tmp_path / "home" / "downloads" / "checksums.json").read_text())
    assert set(known) == {"milan-cls.pth"} and known["milan-cls.pth"]["size"] == len(host.body)
    (tmp_path / "other").mkdir()
    host.body = checkpoint(tmp_path / "other", beam_size=7).read_bytes()
    (tmp_path / "home" / "downloads" / "milan-cls.pth").unlink()
    (tmp_path / "home" / "models" / "milan-cls" / "config.json").unlink()
    with pytest.raises(InputError, match=r"not the file milan-cls\.pth that was had before"):
        Milan.from_pretrained("cls", "cpu")
    assert Milan.pretrained("cls", "cpu", force=True).config.decoding.beam == 7


def test_urls_stand_where_files_do(host: Host, tmp_path: Path) -> None:
    url = f"{host.url}/some/where/mine.pth?version=2"
    describer = create("milan", model=url, device="cpu")
    assert same_weights(describer._model, Milan.from_checkpoint(tmp_path / "milan-test.pth"))  # type: ignore[attr-defined]
    assert describer.trained_on is None  # type: ignore[attr-defined]
    assert len(host.asked) == 1  # mirrors are not asked for a URL of the user's
    Milan.from_pretrained(url, "cpu")
    done = CliRunner().invoke(
        import_app, [url, "--out", str(tmp_path / "out"), "--trained-on", "gen"]
    )
    assert done.exit_code == 0, done.output
    assert len(host.asked) == 1
    imported = Milan.from_pretrained(tmp_path / "out", "cpu")
    assert imported.config.trained_on == published_training_data("gen")


def test_what_cannot_be_had(host: Host, tmp_path: Path) -> None:
    host.body = b"PK no zip" * 100
    with pytest.raises(InputError, match=r"(?s)no whole zip.*/authors/milan-gen\.pth"):
        Milan.pretrained("gen", "cpu")
    with pytest.raises(InputError, match="did you mean 'base'"):
        Milan.pretrained("bas", "cpu")
    with pytest.raises(InputError, match="no URL that can be fetched"):
        Milan.pretrained("ftp://host/milan.pth", "cpu")
    with pytest.raises(InputError, match=r"authors' models \(base"):
        Milan.from_pretrained("bas", "cpu")


def tensors(records: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and masks of records, as the original's data sets do."""
    images = torch.stack([
        torch.stack([transforms.pil_to_tensor(image) for image in record["images"]])
        for record in records
    ])  # fmt: skip
    masks = torch.stack([
        torch.stack([transforms.pil_to_tensor(m.convert("L")).float() / 255 for m in r["masks"]])
        for r in records
    ])  # fmt: skip
    return images, masks


def test_tensors_give_what_records_give() -> None:
    model = tiny_model(3)
    model._encoder.append(tiny_encoder())
    records = neurons(4)
    images, masks = tensors(records)
    features = model.features(records)
    assert torch.allclose(model.encode(images, masks), features, atol=1e-6)
    assert torch.allclose(model.encode(images / 255, masks), features, atol=1e-6)
    for name in ("milan", "greedy", "mi-beam"):
        decoding = VARIANTS[name].model_copy(update={"beam": 5, "length": 4})
        output = model(images, masks, decoding)
        described = model.describe(records, decoding)
        assert output.captions == tuple(description.text for description in described)
        assert output.scores.tolist() == pytest.approx([d.score for d in described], abs=1e-4)
        check_steps(model, features, output)
    whole = model(images).captions
    assert whole == model(model.encode(images)).captions


def check_steps(model: Milan, features: torch.Tensor, output: MilanOutput) -> None:
    """Log probabilities add up to log p(d | E) written out; attention sums to 1 up to the stop."""
    for row, length in enumerate(output.lengths.tolist()):
        tokens = output.tokens[row, :length].tolist()
        by_hand = log_prob_by_hand(model, features[row], tokens)
        assert float(output.log_probs[row].sum()) == pytest.approx(by_hand, abs=1e-4)
        sums = output.attentions[row].sum(1)
        assert torch.allclose(sums[:length], torch.ones(length))
        assert not sums[length:].any() and not output.predictions[row, length:].any()
        assert torch.allclose(
            output.predictions[row, :length].exp().sum(1), torch.ones(length), atol=1e-5
        )


def test_tensors_of_wrong_shapes() -> None:
    model = tiny_model()
    with pytest.raises(InputError, match=r"give \(neurons, k, 3, height, width\)"):
        model(torch.rand(3, 3, 8, 8))
    with pytest.raises(InputError, match="these images need"):
        model(torch.rand(1, 3, 3, 8, 8), torch.rand(1, 3, 8, 8))
    with pytest.raises(InputError, match="before normalization"):
        model(torch.randn(1, 3, 3, 8, 8))


def test_sampling_from_features_needs_keys() -> None:
    model, features = tiny_model(), some_features(2)
    keys = [NeuronKey("m", "d", "l", unit) for unit in range(2)]
    said = model(features, decoding=VARIANTS["sample"], keys=keys).captions
    assert said == tuple(
        d.text for d in model.describe_features(keys, features, VARIANTS["sample"])
    )


def test_a_model_keeps_its_reranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with CLIP does by itself what the describer does, from records and tensors."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    spec = ClipSpec(model=str(tiny_clip(tmp_path / "clip")), weight=0.5)
    how = Decoding(strategy="beam", pmi=0.5, beam=6, length=4)
    model = tiny_model()
    model.config = model.config.model_copy(update={"clip": spec, "decoding": how})
    folder = model.save_pretrained(tmp_path / "model")
    records = neurons(3)
    loaded = Milan.from_pretrained(folder, "cpu")
    loaded._encoder.append(tiny_encoder())
    described = loaded.describe(records)
    describer = create("milan", model=str(folder), device="cpu")
    describer._model._encoder.append(tiny_encoder())  # type: ignore[attr-defined]
    assert describer.describe(records) == described
    plain = loaded.describe_features(keys_of(records), loaded.features(records))
    assert [d.score for d in described] != [d.score for d in plain]
    images, masks = tensors(records)
    output = loaded(images, masks)
    assert output.captions == tuple(d.text for d in described)
    assert output.scores.tolist() == pytest.approx([d.score for d in described], abs=1e-4)
    with pytest.raises(InputError, match="give masks"):
        loaded(images)
