"""Weights from files: sound tensors, or one sentence with the file and the tensor."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save, save_file
from torch import nn

from milannotations.autoencoders.loading import load_autoencoder
from milannotations.catalog.weights import load_weights, read_checkpoint
from milannotations.errors import InputError
from milannotations.pretrained import check_model_folder
from milannotations.tensors import (
    check_finite,
    check_network,
    check_plain,
    check_torch_file,
    read_safetensors,
)
from tests.milannotations.damage import Edit, damaged, edits

TRUE = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3)}


def _file(header: object, data: bytes = bytes(64), raw: bytes | None = None) -> bytes:
    encoded = json.dumps(header).encode() if raw is None else raw
    return struct.pack("<Q", len(encoded)) + encoded + data


def _one(dtype: str, shape: list[int], *offsets: int) -> dict[str, object]:
    return {"weight": {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}}


BAD = {
    "empty": b"",
    "short": b"\1\0\0",
    "header of a terabyte": struct.pack("<Q", 2**40) + b"{}",
    "header beyond 63 bits": struct.pack("<Q", 2**63) + b"{}",
    "no JSON": _file(None, raw=b"{abc"),
    "a list": _file([]),
    "deep": _file(None, raw=b"[" * 100_000),
    "not UTF-8": _file(None, raw=b'{"\xff": 1}'),
    "unknown type": _file(_one("F33", [4], 0, 16)),
    "6 bits": _file(_one("F6_E2M3", [4], 0, 3)),
    "negative shape": _file(_one("F32", [-4], 0, 16)),
    "shape beyond memory": _file(_one("F32", [2**62], 0, 16)),
    "truncated": _file(_one("F32", [40], 0, 160)),
    "overlapping": _file({**_one("F32", [4], 0, 16), "b": _one("F32", [4], 8, 24)["weight"]}),
    "a name twice": _file(None, raw=b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                          b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'),
    "metadata of numbers": _file({"__metadata__": {"x": 1}}, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_of_tensors_are_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(BAD[name])
    for read in (read_safetensors, read_checkpoint, lambda p: load_weights(nn.Linear(4, 3), p)):
        with pytest.raises(InputError, match="no sound file of tensors") as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 500 + len(str(path))


def test_tensors_are_read(tmp_path: Path) -> None:
    """Those of odd types too, scalars, and beside five megabytes of metadata."""
    path = tmp_path / "model.safetensors"
    odd = {"half": torch.ones(2, dtype=torch.float8_e4m3fn), "number": torch.tensor(7)}
    save_file({**TRUE, **odd}, path, {"note": "x" * 5_000_000})
    read = read_safetensors(path)
    assert torch.equal(read["weight"], TRUE["weight"])
    assert (int(read["number"]), float(read["half"][0])) == (7, 1.0)
    check_finite(read.items(), "these")
    with pytest.raises(InputError, match="does not exist"):
        read_safetensors(tmp_path / "none.safetensors")


@settings(max_examples=250, deadline=None)
@given(changes=edits(250, most=4))
def test_changed_files_are_refused_or_have_the_size_they_say(
    changes: list[Edit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = damaged(save(TRUE), changes)
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(data)
    try:
        tensors = read_safetensors(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        (header,) = struct.unpack("<Q", data[:8])
        assert 8 + header + sum(t.nbytes for t in tensors.values()) == len(data)


NETWORK = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("0.weight", float("nan"), "'0.weight' holds NaN or infinity in 1 of its 12"),
        ("0.bias", float("-inf"), "'0.bias' holds NaN or infinity in 1 of its 3"),
        ("1.running_var", float("nan"), "'1.running_var' holds NaN in 1 of its 3"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_that_are_not_numbers_are_refused(
    name: str, value: float, message: str, suffix: str, tmp_path: Path
) -> None:
    """With the file's and the parameter's name; before any image is run."""
    state = {key: tensor.clone() for key, tensor in NETWORK.state_dict().items()}
    state[name].view(-1)[1] = value
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)  # type: ignore[operator]
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(InputError, match=message) as caught:
        load_weights(network, path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=message):
        check_network(network, "this")


def test_buffers_may_hold_infinity() -> None:
    """Masks of attention do."""
    network = nn.Linear(4, 3)
    network.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    check_network(network, "this")


@pytest.mark.parametrize(
    "tensor, message",
    [
        (torch.ones(3, 4).to_sparse(), "'weight' is sparse"),
        (torch.ones(3, 4).to_sparse_csr(), "'weight' is sparse"),
        (torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8), "'weight' is quantized"),
        (torch.ones(3, 4, device="meta"), "'weight' is on the device 'meta'"),
    ],
    ids=["sparse", "rows", "quantized", "meta"],
)
def test_tensors_without_numbers_of_their_own_are_refused(
    tensor: torch.Tensor, message: str, tmp_path: Path
) -> None:
    state = {"weight": tensor, "bias": torch.ones(3)}
    with pytest.raises(InputError, match=message):
        check_plain(state, "these")
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt"):
        load_weights(nn.Linear(4, 3), tmp_path / "weights.pt")


def _saved(state: object) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    """By its directory, before anything is unpacked."""
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(io.BytesIO(_saved(TRUE))) as sound:
            for member in sound.infolist():
                archive.writestr(member.filename, sound.read(member))
        with archive.open("archive/data/9", "w") as large:
            for _ in range(300):
                large.write(bytes(2**20))
    for read in (check_torch_file, read_checkpoint):
        with pytest.raises(InputError, match=r"weights\.pt has .* would unpack to 31\d,"):
            read(path)
    path.write_bytes(_saved(TRUE))
    assert torch.equal(read_checkpoint(path)["weight"], TRUE["weight"])


@settings(max_examples=150, deadline=None)
@given(changes=edits(2000, most=3))
def test_changed_checkpoints_are_refused_or_read(
    changes: list[Edit], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No other exception comes out of a file of torch.save."""
    data = damaged(_saved(TRUE), changes)
    path = tmp_path_factory.getbasetemp() / "changed.pt"
    path.write_bytes(data)
    try:
        read_checkpoint(path)
    except InputError as error:
        assert str(path) in str(error)


def test_autoencoders_with_nan_are_refused(tmp_path: Path) -> None:
    """A threshold may be infinite: its latent is never active."""
    state = {
        "W_enc": torch.ones(4, 6), "b_enc": torch.zeros(6), "W_dec": torch.ones(6, 4),
        "b_dec": torch.zeros(4), "threshold": torch.full((6,), float("inf")),
    }  # fmt: skip
    path = tmp_path / "sae.safetensors"
    save_file(state, path)
    load_autoencoder(Path(f"{path}?activation=jumprelu&subtract=yes"))
    state["W_enc"][2, 3] = float("nan")
    save_file(state, path)
    with pytest.raises(InputError, match=r"sae\.safetensors: 'W_enc' holds NaN in 1 of its 24"):
        load_autoencoder(Path(f"{path}?activation=jumprelu&subtract=yes"))


@pytest.mark.parametrize(
    "config, message",
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000; at most 2,000"),
        ({"text_config": {"vocab_size": 10**12}}, r"text_config\.vocab_size is"),
        ({"hidden_size": 10**6, "num_hidden_layers": 90}, "weights beside it have 1,000 bytes"),
    ],
)
def test_models_that_are_absurd_for_their_weights_are_refused(
    config: dict[str, object], message: str, tmp_path: Path
) -> None:
    """Before memory is taken for them."""
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000))
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        check_model_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 384, "num_hidden_layers": 6}')
    check_model_folder(tmp_path)
    check_model_folder(tmp_path / "none")
