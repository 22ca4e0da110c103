"""The device to run on, chosen by the same ``--device`` option everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from milannotations.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICE_HELP = "auto, cpu, cuda, cuda:N or mps; auto takes the fastest there is"


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device with a name; ``auto`` prefers CUDA, then MPS, then the CPU.

    For a CUDA device this also turns off TF32 in convolutions, for the whole process. torch uses it
    by default for float32, and its mantissa of 10 bits is enough to change which images become
    exemplars; see docs/performance.md.

    Raises:
        InputError: If the name is unknown or there is no such device on this machine.
    """
    import torch  # here, so that `--help`, which needs only the text above, is fast

    if name == "auto":
        without_cuda = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else without_cuda
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown; use {DEVICE_HELP}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA GPUs")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps' is not available on this machine")
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {name!r} is not supported; use {DEVICE_HELP}")
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device
