"""Which processor commands run on."""

from __future__ import annotations

import pytest
import torch

from milannotations.device import resolve_device
from milannotations.errors import InputError


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_float32_is_float32_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert resolve_device(name) == torch.device("cuda" if name == "auto" else name)
    assert not torch.backends.cudnn.allow_tf32


def test_other_devices_change_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert resolve_device("cpu") == torch.device("cpu")
    assert torch.backends.cudnn.allow_tf32


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="this machine has 2 CUDA GPUs"):
        resolve_device("cuda:2")
