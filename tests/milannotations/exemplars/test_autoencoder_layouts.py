"""Autoencoders of other libraries: their own configuration, their own formula, or a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from milannotations.autoencoders.loading import load_autoencoder
from milannotations.errors import InputError

UNITS, LATENTS, K = 6, 16, 3
X = torch.randn(40, UNITS, generator=torch.Generator().manual_seed(0))
State = dict[str, Tensor]


@pytest.fixture
def numbers() -> State:
    """Weights, every number of its own."""
    torch.manual_seed(1)
    return {
        "W": torch.randn(LATENTS, UNITS), "b": torch.randn(LATENTS),
        "D": torch.randn(UNITS, LATENTS),
        "d": torch.randn(UNITS), "cut": torch.rand(LATENTS), "gate": torch.randn(LATENTS),
        "size": torch.randn(LATENTS) / 3,
    }  # fmt: skip


def pre(n: State, x: Tensor, shift: bool) -> Tensor:
    """Return W (x − d) + b one number at a time."""
    out = torch.zeros(len(x), LATENTS)
    for row in range(len(x)):
        for latent in range(LATENTS):
            terms = ((x[row] - n["d"] * shift) * n["W"][latent]).sum()
            out[row, latent] = terms + n["b"][latent]
    return out


def largest(z: Tensor, k: int) -> Tensor:
    """Keep the k largest of each row, where they are above 0."""
    out = torch.zeros_like(z)
    for row in range(len(z)):
        for latent in sorted(range(LATENTS), key=lambda j: -float(z[row, j]))[:k]:
            out[row, latent] = max(0.0, float(z[row, latent]))
    return out


def linear(n: State, **more: Tensor) -> State:
    return {"encoder.weight": n["W"], "encoder.bias": n["b"], "decoder.weight": n["D"], **more}


def matrices(n: State, **more: Tensor) -> State:
    return {"W_enc": n["W"].T.contiguous(), "b_enc": n["b"], "W_dec": n["D"].T.contiguous(),
            "b_dec": n["d"], **more}  # fmt: skip


def learned(folder: Path, kind: str, state: State) -> Path:
    """Write what dictionary_learning writes."""
    folder.mkdir()
    torch.save(state, folder / "ae.pt")
    config = {"trainer": {"dict_class": kind, "trainer_class": "Trainer", "k": K}, "buffer": {}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def check(path: Path, expected: Tensor) -> None:
    found = load_autoencoder(path)(X)
    assert torch.allclose(found, expected, atol=1e-4)
    assert (expected > 0).any()
    assert (expected == 0).any()


def gated(n: State) -> tuple[State, Tensor]:
    state = {"encoder.weight": n["W"], "decoder.weight": n["D"], "decoder_bias": n["d"],
             "gate_bias": n["gate"], "mag_bias": n["b"], "r_mag": n["size"]}  # fmt: skip
    z = pre(n, X, True) - n["b"]
    size = (n["size"].exp() * z + n["b"]).clamp(min=0) * n["D"].square().sum(0).sqrt()
    return state, torch.where(z + n["gate"] > 0, size, 0)


def batch_counters() -> State:
    return {"k": torch.tensor(K, dtype=torch.int32), "threshold": torch.tensor(0.7)}


def test_dictionary_learning(tmp_path: Path, numbers: State) -> None:
    n = numbers
    with_shift, without = pre(n, X, True), pre(n, X, False)
    check(learned(tmp_path / "1", "AutoEncoder", linear(n, bias=n["d"])), with_shift.clamp(min=0))
    state = linear(n, **{"decoder.bias": n["d"]})
    check(learned(tmp_path / "2", "AutoEncoderNew", state), without.clamp(min=0))
    state, expected = gated(n)
    check(learned(tmp_path / "3", "GatedAutoEncoder", state), expected)
    norms = n["D"].square().sum(0).sqrt()
    jump = torch.where(without > n["cut"], without.clamp(min=0), 0) * norms
    check(learned(tmp_path / "4", "JumpReluAutoEncoder", matrices(n, threshold=n["cut"])), jump)
    state = linear(n, b_dec=n["d"], **batch_counters())
    check(learned(tmp_path / "5", "AutoEncoderTopK", state), largest(with_shift, K))
    cut = torch.where(with_shift > 0.7, with_shift, 0)
    check(learned(tmp_path / "6", "BatchTopKSAE", state), cut)
    state = matrices(n, **batch_counters(), group_sizes=torch.tensor([4, 12]))
    check(learned(tmp_path / "7", "MatryoshkaBatchTopKSAE", state), cut)
    assert not torch.allclose(cut, largest(with_shift, K))


def test_classes_of_dictionary_learning_that_cannot_be_read(tmp_path: Path, numbers: State) -> None:
    state = linear(numbers, b_dec=numbers["d"], k=torch.tensor(K), threshold=torch.tensor(-1.0))
    with pytest.raises(InputError, match="no threshold that was found in training"):
        load_autoencoder(learned(tmp_path / "a", "BatchTopKSAE", state))
    with pytest.raises(InputError, match=r"class 'CrossCoder' as trainer\.dict_class; known are"):
        load_autoencoder(learned(tmp_path / "b", "CrossCoder", state))
    folder = learned(tmp_path / "c", "AutoEncoder", state)
    with pytest.raises(InputError, match="there is no bias among"):
        load_autoencoder(folder)
    with pytest.raises(InputError, match=r"activation cannot be stated, since its config\.json"):
        load_autoencoder(Path(f"{folder}?activation=relu"))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json does not exist"):
        load_autoencoder(folder)


def openai(n: State) -> dict[str, Any]:
    return {
        "pre_bias": n["d"], "latent_bias": n["b"], "encoder.weight": n["W"],
        "decoder.weight": n["D"], "stats_last_nonzero": torch.zeros(LATENTS, dtype=torch.int64),
        "latents_activation_frequency": torch.ones(LATENTS),
        "latents_mean_square": torch.ones(LATENTS),
    }  # fmt: skip


def test_openai(tmp_path: Path, numbers: State) -> None:
    n, path = numbers, tmp_path / "sae.pt"
    torch.save({**openai(n), "activation": "ReLU", "activation_state_dict": {}}, path)
    check(path, pre(n, X, True).clamp(min=0))
    settings = {"k": K, "postact_fn": "ReLU"}
    torch.save({**openai(n), "activation": "TopK", "activation_state_dict": settings}, path)
    normal = torch.stack(
        [(r - r.mean()) / (((r - r.mean()).square().sum() / (UNITS - 1)).sqrt() + 1e-5) for r in X]
    )
    expected = largest(pre(n, normal, True), K)
    check(path, expected)
    # Without the names, as in safetensors, nothing tells the two apart.
    save_file(openai(n), tmp_path / "sae.safetensors")
    with pytest.raises(InputError, match=r"PATH\?activation=topk&k=K&subtract=yes&normalize=layer"):
        load_autoencoder(tmp_path / "sae.safetensors")
    stated = "?activation=topk&k=3&subtract=yes&normalize=layer_norm"
    check(Path(f"{tmp_path / 'sae.safetensors'}{stated}"), expected)
    torch.save({**openai(n), "activation": "Identity"}, path)
    with pytest.raises(InputError, match="the file names Identity activation"):
        load_autoencoder(path)


def test_vit_prisma(tmp_path: Path, numbers: State) -> None:
    n = numbers
    save_file(matrices(n), tmp_path / "weights.safetensors")

    def configure(**config: Any) -> Path:
        (tmp_path / "config.json").write_text(json.dumps({"d_in": UNITS, **config}))
        return tmp_path

    check(configure(activation_fn_str="relu"), pre(n, X, True).clamp(min=0))
    topk = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    check(configure(**topk), largest(pre(n, X, True), K))
    folder = configure(activation_fn_str="relu", normalize_activations="layer_norm")
    with pytest.raises(InputError, match="state which: PATH"):
        load_autoencoder(folder)
    check(Path(f"{folder}?normalize=none"), pre(n, X, True).clamp(min=0))
    with pytest.raises(InputError, match="activation_fn 'tanh-relu'"):
        load_autoencoder(configure(activation_fn_str="tanh-relu"))
    with pytest.raises(InputError, match="names no activation_fn_str"):
        load_autoencoder(configure())


@pytest.mark.parametrize("shift", [True, False])
def test_what_a_file_does_not_say_has_to_be_stated(
    tmp_path: Path, numbers: State, shift: bool
) -> None:
    n, path = numbers, tmp_path / "sae.safetensors"
    save_file(matrices(n, threshold=n["cut"]), path)
    for text, missing in (
        ("", "activation=relu"), ("?subtract=yes", "activation=relu"),
        ("?activation=jumprelu", "subtract=yes|no"),
    ):  # fmt: skip
        with pytest.raises(InputError) as raised:
            load_autoencoder(Path(f"{path}{text}"))
        assert missing in str(raised.value)
        assert str(path) in str(raised.value)
    subtract = "yes" if shift else "no"
    z = pre(n, X, shift)
    for text, expected in (
        ("relu", z.clamp(min=0)), ("topk&k=3", largest(z, K)),
        ("jumprelu", torch.where(z > n["cut"], z, 0)),
        ("batchtopk&threshold=0.7", torch.where(z > 0.7, z, 0)),
    ):  # fmt: skip
        check(Path(f"{path}?activation={text}&subtract={subtract}"), expected)


def test_layouts_that_only_one_class_has_need_no_statement(tmp_path: Path, numbers: State) -> None:
    n = numbers
    torch.save(linear(n, bias=n["d"]), tmp_path / "a.pt")
    check(tmp_path / "a.pt", pre(n, X, True).clamp(min=0))
    state, expected = gated(n)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "b.pt")
    check(tmp_path / "b.pt", expected)
    torch.save(linear(n, **{"decoder.bias": n["d"]}), tmp_path / "c.pt")
    with pytest.raises(InputError, match="does not say what its latents are"):
        load_autoencoder(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("activation=softmax", "activation is 'softmax'; it is one of relu, topk"),
        ("activaton=relu", "did you mean 'activation'"),
        ("activation=topk&k=many&subtract=no", "k is 'many'"),
        ("activation=topk&subtract=no", "there is no k among"),
        ("activation=jumprelu&threshold=-1&subtract=no", "a number of at least 0"),
        ("activation=jumprelu&threshold=x&subtract=no", "a number of at least 0"),
        ("subtract=maybe", "subtract is 'maybe'"),
        ("activation", "is no NAME=VALUE"),
    ],
)
def test_statements_that_make_no_sense(
    tmp_path: Path, numbers: State, text: str, message: str
) -> None:
    save_file(matrices(numbers), tmp_path / "sae.safetensors")
    with pytest.raises(InputError, match=message):
        load_autoencoder(Path(f"{tmp_path / 'sae.safetensors'}?{text}"))


def test_whole_objects_are_refused_by_name(tmp_path: Path) -> None:
    # As Overcomplete saves its dictionaries.
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3)), tmp_path / "sae.pt")
    with pytest.raises(InputError, match=r"one object, torch\.nn\.modules\.container\.Sequential"):
        load_autoencoder(tmp_path / "sae.pt")
    save_file({"encoder.final_block.0.weight": torch.ones(2, 2)}, tmp_path / "sae.safetensors")
    with pytest.raises(InputError, match=r"encoder\.final_block\.0\.weight, which are not known"):
        load_autoencoder(tmp_path / "sae.safetensors")
