"""Tensors from untrusted files, and checks for numbers that no network can run with."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from milannotations.errors import InputError

# Limits on what a PyTorch file may unpack to: torch.save stores tensors uncompressed.
_UNPACKED_BYTES, _MAX_RATIO = 2**28, 16
_LONGEST_REASON = 300


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors.

    Raises:
        InputError: If it is missing or damaged, or has unknown data types; names the file.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file; name a .safetensors file")
    try:
        return load_file(path)
    except Exception as error:  # safetensors' own error derives from Exception; torch raises others
        detail = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise InputError(f"{path} is no sound file of tensors: {detail}") from error


def check_torch_file(path: Path) -> None:
    """Raise InputError if a file of ``torch.save`` would unpack to far more bytes than it has."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if total > _UNPACKED_BYTES + _MAX_RATIO * path.stat().st_size:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes and would unpack to {total:,}; it is not "
            "trusted"
        )


def check_plain(tensors: Mapping[str, Tensor], name: str) -> None:
    """Raise InputError if a tensor does not store one plain number for each element.

    Args:
        tensors: Tensors by name.
        name: Source of the tensors, for messages.
    """
    for key, tensor in tensors.items():
        if tensor.is_meta:
            kind = "is on the device 'meta', without numbers"
        elif tensor.layout is not torch.strided:
            kind = f"is sparse ({tensor.layout})"
        elif tensor.is_quantized:
            kind = f"is quantized ({tensor.dtype})"
        else:
            continue
        raise InputError(f"{name}: {key!r} {kind}; save it as a plain tensor")


def check_finite(tensors: Iterable[tuple[str, Tensor]], name: str, infinity: bool = False) -> None:
    """Raise InputError if a tensor holds NaN or infinity.

    Args:
        tensors: Pairs of a name and a tensor.
        name: Source of the tensors, for messages.
        infinity: Allow infinity.
    """
    for key, tensor in tensors:
        if tensor.is_meta or not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        wide = tensor.detach() if tensor.element_size() > 1 else tensor.detach().float()  # float8
        wrong = wide.isnan() if infinity else ~wide.isfinite()
        if bool(wrong.any()):
            what = "NaN" if infinity else "NaN or infinity"
            raise InputError(
                f"{name}: {key!r} holds {what} in {int(wrong.sum()):,} of its {wrong.numel():,} "
                "numbers, so that everything computed from it would; take sound weights"
            )


def check_network(module: nn.Module, name: str) -> None:
    """Raise InputError if a network has parameters that are not finite, or buffers with NaN.

    Buffers may hold infinity, as attention masks do.
    """
    check_finite(module.named_parameters(), name)
    check_finite(module.named_buffers(), name, infinity=True)
