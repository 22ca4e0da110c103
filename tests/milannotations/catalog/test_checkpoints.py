"""Weights as training scripts of many frameworks save them; no code of theirs is run."""

from __future__ import annotations

import argparse
import collections
import datetime
import os
import pathlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from milannotations.catalog.models import load_model
from milannotations.catalog.selection import chosen_state
from milannotations.catalog.small import SmallNet
from milannotations.catalog.stand_ins import foreign_objects
from milannotations.catalog.weights import load_weights, read_checkpoint, split_part
from milannotations.errors import InputError

State = dict[str, Tensor]


def state_of(seed: int) -> State:
    torch.manual_seed(seed)
    return SmallNet().state_dict()


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def between(state: State, after: str, wrapper: str) -> State:
    return {name.replace(after, after + wrapper): value for name, value in state.items()}


def loaded(path: Path) -> State:
    return load_model("smallnet", str(path)).module.state_dict()


def assert_same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def optimizer() -> dict[str, Any]:
    module = SmallNet()
    steps = torch.optim.AdamW(module.parameters())
    sum(parameter.sum() for parameter in module.parameters()).backward()
    steps.step()
    return steps.state_dict()


SHAPES: dict[str, Callable[[State], Any]] = {
    "plain": dict,
    "the ImageNet example": lambda s: {
        "epoch": 90, "arch": "x", "state_dict": under("module.", s), "best_acc1": torch.tensor(7.0),
        "optimizer": optimizer(), "scheduler": {"last_epoch": 3},
    },
    "DeiT": lambda s: {
        "model": s, "optimizer": optimizer(), "epoch": 3, "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(lr=0.1, output_dir=pathlib.Path("out"), nested=[1, {"a": 2}]),
    },
    "numpy beside the tensors": lambda s: {
        "model_state_dict": s, "best": np.float64(0.7), "step": np.int64(3),
        "rng": np.random.RandomState(0).get_state(), "values": np.arange(4.0),
        "half": np.float16(1),
        "seen": collections.defaultdict(list, a=[1]), "at": datetime.datetime(2020, 1, 2),
        "config": types.SimpleNamespace(a=1), "part": slice(1, 2), "ok": np.bool_(True),
    },
    "Lightning": lambda s: {
        "state_dict": under("model.", s) | {"criterion.weight": torch.ones(3)},
        "hyper_parameters": collections.defaultdict(dict, lr=1), "optimizer_states": [optimizer()],
        "pytorch-lightning_version": "2", "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.3)}},
    },
    "torch.compile": lambda s: {"model": under("_orig_mod.", s)},
    "compiled and parallel": lambda s: {"net": under("module._orig_mod.", s)},
    "a part is compiled": lambda s: between(s, "conv2.", "_orig_mod."),
    "FSDP": lambda s: under(
        "_fsdp_wrapped_module.", between(s, "conv3.", "_checkpoint_wrapped_module.")
    ),
    "MoCo's encoder": lambda s: {"state_dict": under("module.encoder_q.", s)},
    "backbone and projector": lambda s: (
        under("backbone.", s) | {"projector.0.weight": torch.ones(2)}
    ),
    "deep": lambda s: {"checkpoint": {"models": {"net": under("encoder.backbone.", s)}}},
    "DINOv2": lambda s: {
        "model": under("teacher.backbone.", s) | {"teacher.dino_head.mlp.weight": torch.ones(2)}
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("legacy", [False, True])
def test_usual_checkpoints_load(tmp_path: Path, shape: str, legacy: bool) -> None:
    state = state_of(3)
    torch.save(SHAPES[shape](state), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    assert_same(loaded(tmp_path / "w.pt"), state)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "teacher.backbone."])
def test_safetensors_with_prefixes(tmp_path: Path, prefix: str) -> None:
    state = state_of(3)
    save_file(under(prefix, state), tmp_path / "w.safetensors")
    assert_same(loaded(tmp_path / "w.safetensors"), state)
    module = SmallNet()
    load_weights(module, tmp_path / "w.safetensors")
    assert_same(module.state_dict(), state)


PAIRS: dict[str, Callable[[State, State], Any]] = {
    "teacher": lambda one, two: {"student": two, "teacher": one},
    "state_dict_ema": lambda one, two: {"state_dict": two, "state_dict_ema": one},
    "model_ema": lambda one, two: {"model": under("module.", two), "model_ema": one},
    "state_dict.ema_model": lambda one, two: {
        "state_dict": under("model.", two) | under("ema_model.", one)
    },
    "target_encoder": lambda one, two: {"encoder": two, "target_encoder": under("module.", one)},
    "module.encoder_q": lambda one, two: (
        under("module.encoder_q.", one) | under("module.encoder_k.", two)
    ),
}


@pytest.mark.parametrize("label", list(PAIRS))
def test_averaged_weights_are_preferred_in_one_line(
    tmp_path: Path, label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = state_of(1), state_of(2)
    torch.save(PAIRS[label](one, two), tmp_path / "w.pt")
    assert_same(loaded(tmp_path / "w.pt"), one)
    said = capsys.readouterr().err.splitlines()
    assert any("is taken, as its authors' evaluation does" in line for line in said)
    other = next(part for line in said if "FILE#" in line for part in line.split("FILE#")[1:])
    part = other.split(" ")[0]
    again = load_model("smallnet", f"{tmp_path / 'w.pt'}#{part}")
    assert_same(again.module.state_dict(), two)
    assert again.dataset == "w"
    assert again.weights == f"{tmp_path / 'w.pt'}#{part}"


def test_alike_dictionaries_without_a_rule_are_refused(tmp_path: Path) -> None:
    one, two = state_of(1), state_of(2)
    torch.save({"model": one, "net": two}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"\(model, net\) that fit alike; name one, as FILE#model"):
        loaded(tmp_path / "w.pt")
    assert_same(load_model("smallnet", f"{tmp_path / 'w.pt'}#net").module.state_dict(), two)
    with pytest.raises(InputError, match="hold no 'other'; they hold model, net"):
        load_model("smallnet", f"{tmp_path / 'w.pt'}#other")
    # The same tensors twice are no choice.
    torch.save({"model": one, "net": one}, tmp_path / "w.pt")
    assert_same(loaded(tmp_path / "w.pt"), one)


def test_the_dictionary_of_another_network_is_passed_over(tmp_path: Path) -> None:
    state = state_of(1)
    other = {f"layer{n}.weight": torch.ones(2) for n in range(90)}
    torch.save({"model": other, "teacher": other, "generator": state}, tmp_path / "w.pt")
    assert_same(loaded(tmp_path / "w.pt"), state)


def test_partial_matches_are_refused_with_counts(tmp_path: Path) -> None:
    state = state_of(1)
    whole = sum("num_batches" not in name for name in state)
    del state["fc.weight"], state["conv1.conv.weight"]
    state["head.weight"] = torch.ones(2)
    torch.save({"state_dict": under("module.", state)}, tmp_path / "w.pt")
    with pytest.raises(InputError) as raised:
        loaded(tmp_path / "w.pt")
    text = str(raised.value)
    assert f"{whole - 2} of its {whole} parameters are in the file" in text
    assert "Missing keys: 2 (conv1.conv.weight, fc.weight)" in text
    assert "Unexpected keys: 1 (head.weight)" in text
    assert "\n" not in text
    shaped = state_of(1) | {"fc.bias": torch.ones(3)}
    torch.save(shaped, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"fc\.bias is 10 there and 3 in the file"):
        loaded(tmp_path / "w.pt")


class Config:
    """A class of a training script's own."""

    def __init__(self) -> None:
        self.lr = 1


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_are_named_with_their_place(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "w.pt"

    def save(value: Any) -> None:
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)

    save({"epoch": 1, "model": state_of(1), "extra": [{"cfg": Config()}]})
    with pytest.raises(InputError) as raised:
        loaded(path)
    text = str(raised.value)
    assert "holds more than tensors" in text
    assert f"At ['extra'][0]['cfg'] stands an object of {__name__}.Config" in text
    assert "torch.save(torch.load('w.pt', weights_only=False)['model'], 'weights.pt')" in text
    save(SmallNet())
    with pytest.raises(
        InputError, match=r"The whole file is one object, milannotations\..*SmallNet"
    ):
        loaded(path)
    save({"model": state_of(1), "hook": Evil(tmp_path / "ran")})
    with pytest.raises(InputError, match=r"At \['hook'\] stands an object of (posix|nt)\.system"):
        loaded(path)
    assert foreign_objects(path) == [("['hook']", f"{os.name}.system")]
    assert not (tmp_path / "ran").exists()


def test_the_advice_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(1)
    torch.save({"run": {"net": state}, "cfg": Config()}, tmp_path / "w.pt")
    with pytest.raises(InputError) as raised:
        loaded(tmp_path / "w.pt")
    command = str(raised.value).partition("where its code is: ")[2]
    monkeypatch.chdir(tmp_path)
    exec(command, {"torch": torch})
    assert_same(loaded(tmp_path / "weights.pt"), state)


def test_stand_ins_run_nothing(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(evil=Evil(tmp_path / "ran"))}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"stands an object of (posix|nt)\.system"):
        read_checkpoint(tmp_path / "w.pt")
    torch.save({"args": argparse.Namespace(lr=1), "a": torch.ones(2)}, tmp_path / "w.pt")
    assert not isinstance(read_checkpoint(tmp_path / "w.pt")["args"], argparse.Namespace)
    assert not (tmp_path / "ran").exists()


def test_torchscript_is_named(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(InputError, match="is a TorchScript program; save its weights alone"):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"not a checkpoint"])
def test_damaged_files_are_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(InputError, match=r"weights file .*w\.pt"):
        loaded(tmp_path / "w.pt")


def test_a_network_that_is_not_known_takes_the_largest_dictionary() -> None:
    state = state_of(1)
    found = chosen_state({"position": torch.ones(2), "model": under("module.", state)}, None, "it")
    assert_same(found, state)
    with pytest.raises(InputError, match="it hold no state dictionary of tensors"):
        chosen_state({"epoch": 3, "optimizer": {"a": torch.ones(2)}}, None, "it")


def test_a_file_may_have_a_hash_in_its_name(tmp_path: Path) -> None:
    torch.save(state_of(1), tmp_path / "run#3.pt")
    assert split_part(str(tmp_path / "run#3.pt")) == (tmp_path / "run#3.pt", "")
    assert_same(loaded(tmp_path / "run#3.pt"), state_of(1))
    torch.save({"net": state_of(2)}, tmp_path / "run#3.pt")
    assert_same(loaded(Path(f"{tmp_path / 'run#3.pt'}#net")), state_of(2))


def test_models_of_timm_take_them_too(tmp_path: Path) -> None:
    module = load_model("timm:test_resnet", "random").module
    state = {name: value + 1 for name, value in module.state_dict().items()}
    torch.save({"student": under("module.backbone.", module.state_dict()),
                "teacher": under("backbone.", state)}, tmp_path / "w.pt")  # fmt: skip
    found = load_model("timm:test_resnet", str(tmp_path / "w.pt")).module.state_dict()
    assert_same(found, state)
