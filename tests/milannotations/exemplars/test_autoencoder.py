"""Sparse autoencoders: latents against the formulas, the files of other libraries, bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from milannotations.autoencoders.loading import SparseAutoencoder, load_autoencoder
from milannotations.errors import InputError
from milannotations.weights_hash import hash_of_weights

UNITS, LATENTS = 6, 16


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Weights in the spelling of SAELens, every number of its own."""
    torch.manual_seed(1)
    return {
        "W_enc": torch.randn(UNITS, LATENTS),
        "b_enc": torch.randn(LATENTS),
        "W_dec": torch.randn(LATENTS, UNITS),
        "b_dec": torch.randn(UNITS),
    }


def _saelens(folder: Path, state: dict[str, Tensor], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"d_in": UNITS, "d_sae": LATENTS, **config}))
    return folder


X = torch.randn(3, 5, UNITS, generator=torch.Generator().manual_seed(0))


def _slow(z: Tensor, latent: Any) -> Tensor:
    """Apply ``latent(position's z, latent's index)`` one number at a time."""
    out = torch.zeros_like(z)
    for a in range(z.shape[0]):
        for b in range(z.shape[1]):
            for c in range(z.shape[2]):
                out[a, b, c] = latent(z[a, b], c)
    return out


def test_standard_with_and_without_the_decoders_bias(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    for applies in (True, False):
        path = _saelens(tmp_path / str(applies), state, architecture="standard",
                        apply_b_dec_to_input=applies)  # fmt: skip
        found = load_autoencoder(path)(X)
        z = (X - state["b_dec"] * applies) @ state["W_enc"] + state["b_enc"]
        assert torch.allclose(found, _slow(z, lambda row, c: max(0.0, float(row[c]))), atol=1e-5)


def test_topk_keeps_the_k_largest(tmp_path: Path, state: dict[str, Tensor]) -> None:
    z = (X - state["b_dec"]) @ state["W_enc"] + state["b_enc"]

    def latent(row: Tensor, c: int) -> float:
        is_among = (row > row[c]).sum() < 3
        return max(0.0, float(row[c])) if is_among else 0.0

    new = _saelens(tmp_path / "new", state, architecture="topk", k=3)
    old = _saelens(tmp_path / "old", state, activation_fn_str="topk", activation_fn_kwargs={"k": 3})
    for path in (new, old):
        assert torch.allclose(load_autoencoder(path)(X), _slow(z, latent), atol=1e-5)
    scaled = _saelens(tmp_path / "scaled", state, architecture="topk", k=3,
                      rescale_acts_by_decoder_norm=True)  # fmt: skip
    norms = state["W_dec"].square().sum(1).sqrt()
    assert torch.allclose(load_autoencoder(scaled)(X), _slow(z * norms, latent), atol=1e-4)


@pytest.mark.parametrize("name", ["threshold", "log_threshold", "topk_threshold"])
def test_jumprelu_and_batch_topk_cut_at_their_threshold(
    tmp_path: Path, state: dict[str, Tensor], name: str
) -> None:
    threshold = torch.rand(LATENTS) * 2 if name != "topk_threshold" else torch.tensor(1.3).double()
    stored = threshold.log() if name == "log_threshold" else threshold
    kind = "batchtopk" if name == "topk_threshold" else "jumprelu"
    path = _saelens(tmp_path / "sae", {**state, name: stored}, architecture=kind)
    cuts = threshold.expand(LATENTS)
    z = (X - state["b_dec"]) @ state["W_enc"] + state["b_enc"]
    expected = _slow(z, lambda row, c: float(row[c]) if row[c] > cuts[c] else 0.0)
    found = load_autoencoder(path)(X)
    assert torch.allclose(found, expected, atol=1e-5)
    assert ((found > 0) != (z > 0)).any()  # the threshold makes a difference


def test_gated(tmp_path: Path, state: dict[str, Tensor]) -> None:
    del state["b_enc"]
    state |= {name: torch.randn(LATENTS) for name in ("b_gate", "b_mag", "r_mag")}
    found = load_autoencoder(_saelens(tmp_path / "sae", state, architecture="gated"))(X)
    centred = X - state["b_dec"]
    gate = centred @ state["W_enc"] + state["b_gate"]
    size = centred @ (state["W_enc"] * state["r_mag"].exp()) + state["b_mag"]
    assert torch.allclose(found, torch.where(gate > 0, size.clamp(min=0), 0), atol=1e-5)


@pytest.mark.parametrize("kind", ["layer_norm", "constant_norm_rescale"])
def test_inputs_are_normalized_as_trained(
    tmp_path: Path, state: dict[str, Tensor], kind: str
) -> None:
    path = _saelens(tmp_path / "sae", state, architecture="standard", normalize_activations=kind)
    for row, latents in zip(X[0], load_autoencoder(path)(X)[0], strict=True):
        if kind == "layer_norm":
            deviation = ((row - row.mean()).square().sum() / (UNITS - 1)).sqrt()
            normal = (row - row.mean()) / (deviation + 1e-5)
        else:
            normal = row * UNITS**0.5 / row.square().sum().sqrt()
        z = (normal - state["b_dec"]) @ state["W_enc"] + state["b_enc"]
        assert torch.allclose(latents, z.clamp(min=0), atol=1e-5)


@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize("activation", ["topk", "groupmax"])
def test_sparsify(
    tmp_path: Path, state: dict[str, Tensor], transcode: bool, activation: str
) -> None:
    tensors = {
        "encoder.weight": state["W_enc"].T.contiguous(), "encoder.bias": state["b_enc"],
        "W_dec": state["W_dec"], "b_dec": state["b_dec"],
    }  # fmt: skip
    save_file(tensors, tmp_path / "sae.safetensors")
    config = {"activation": activation, "k": 4, "d_in": UNITS, "transcode": transcode}
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    z = ((X - state["b_dec"] * (not transcode)) @ state["W_enc"] + state["b_enc"]).clamp(min=0)

    def latent(row: Tensor, c: int) -> float:
        rivals = row if activation == "topk" else row[c // 4 * 4 : c // 4 * 4 + 4]
        return float(row[c]) if (rivals > row[c]).sum() < (4 if activation == "topk" else 1) else 0

    assert torch.allclose(load_autoencoder(tmp_path)(X), _slow(z, latent), atol=1e-5)


def test_files_of_tensors_alone(tmp_path: Path, state: dict[str, Tensor]) -> None:
    z = X @ state["W_enc"] + state["b_enc"]
    save_file({"W_enc": state["W_enc"], "b_enc": state["b_enc"]}, tmp_path / "a.safetensors")
    assert torch.allclose(load_autoencoder(tmp_path / "a.safetensors")(X), z.relu(), atol=1e-5)
    linear = {
        "encoder.weight": state["W_enc"].T, "encoder.bias": state["b_enc"], "k": torch.tensor(2),
        "decoder.weight": state["W_dec"].T, "b_dec": state["b_dec"], "threshold": torch.tensor(-1.),
    }  # fmt: skip
    torch.save({"state_dict": linear}, tmp_path / "b.pt")
    # The class that made the file may be a top-k or a batch top-k.
    with pytest.raises(InputError, match="does not say what its latents are; state it"):
        load_autoencoder(tmp_path / "b.pt")
    with pytest.raises(InputError, match="no threshold that was found in training"):
        load_autoencoder(tmp_path / "b.pt?activation=batchtopk&subtract=yes")
    found = load_autoencoder(tmp_path / "b.pt?activation=topk&subtract=yes")(X)
    assert ((found > 0).sum(-1) <= 2).all()
    z = (X - state["b_dec"]) @ state["W_enc"] + state["b_enc"]
    assert torch.allclose(found.amax(-1), z.amax(-1).relu(), atol=1e-5)
    torch.save({**linear, "threshold": torch.tensor(0.5)}, tmp_path / "c.pt")
    found = load_autoencoder(tmp_path / "c.pt?activation=batchtopk&subtract=yes")(X)
    assert torch.allclose(found, torch.where(z > 0.5, z, 0), atol=1e-5)


def test_half_precision_in_float32_out(state: dict[str, Tensor]) -> None:
    encoder = SparseAutoencoder(state["W_enc"], state["b_enc"])
    assert (encoder.units, encoder.latents) == (UNITS, LATENTS)
    found = encoder(X.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, encoder(X.bfloat16().float()))


def test_what_changes_the_latents_changes_the_fingerprint(state: dict[str, Tensor]) -> None:
    one = (state["W_enc"], state["b_enc"])
    prints = {
        hash_of_weights(SparseAutoencoder(*one)),
        hash_of_weights(SparseAutoencoder(*one, "topk", k=2)),
        hash_of_weights(SparseAutoencoder(*one, "topk", k=3)),
        hash_of_weights(SparseAutoencoder(*one, normalization="layer_norm")),
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("config", "change", "match"),
    [
        ({"architecture": "skip_transcoder"}, {}, "architecture 'skip_transcoder'; known are"),
        ({"activation_fn": "tanh-relu"}, {}, "activation_fn 'tanh-relu'"),
        ({"normalize_activations": "expected_average_only_in"}, {}, "fold_activation_norm"),
        ({"architecture": "topk"}, {}, "k is None; it must be a whole number"),
        ({"architecture": "topk", "k": 17}, {}, "k is 17; of 16 latents"),
        ({"architecture": "topk", "k": 2.5}, {}, "k is 2.5"),
        ({"architecture": "jumprelu"}, {}, "jumprelu needs a threshold"),
        ({"architecture": "gated"}, {}, "there is no b_gate"),
        ({}, {"surprise": torch.zeros(1)}, "holds surprise, which are not known"),
        ({}, {"b_enc": torch.zeros(3)}, r"bias of shape \(3,\) does not fit"),
        ({}, {"b_dec": torch.zeros(3)}, r"shift of shape \(3,\) does not fit"),
        ({}, {"W_enc": torch.zeros(3)}, "they have two axes"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, state: dict[str, Tensor], config: dict[str, Any], change: Any, match: str
) -> None:
    path = _saelens(tmp_path / "sae", {**state, **change}, **config)
    with pytest.raises(InputError, match=match) as caught:
        load_autoencoder(path)
    assert str(path) in str(caught.value)


def test_missing_damaged_and_pickled_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_autoencoder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no sparse autoencoder"):
        load_autoencoder(tmp_path)
    save_file({"b_dec": state["b_dec"]}, tmp_path / "d.safetensors")
    with pytest.raises(InputError, match="there is no b_enc among b_dec"):
        load_autoencoder(tmp_path / "d.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"x\.safetensors"):
        load_autoencoder(tmp_path / "x.safetensors")
    torch.save({"W_enc": state["W_enc"], "b_enc": torch.nn.ReLU()}, tmp_path / "p.pt")
    with pytest.raises(InputError, match="cannot be read safely"):
        load_autoencoder(tmp_path / "p.pt")
    folder = _saelens(tmp_path / "sae", state)
    for text in ("{", "[]", "[" * 100_000):
        (folder / "cfg.json").write_text(text)
        with pytest.raises(InputError, match=r"cfg\.json"):
            load_autoencoder(folder)


def test_another_number_of_units_is_named(state: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="it takes 6 units, not 7"):
        SparseAutoencoder(state["W_enc"], state["b_enc"])(torch.zeros(2, 7))
