"""The pass on many devices or machines with ``torchrun``: one process per device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch

from milannotations.errors import InputError

# Processes wait for the slowest one, however long it takes.
_PATIENCE = timedelta(days=30)


@contextmanager
def process_group() -> Iterator[tuple[int, int, int]]:
    """Join the other processes that ``torchrun`` has started.

    Yields:
        The rank of this process, the number of processes, and its rank on this machine.

    Raises:
        InputError: If ``torchrun`` has not started this process.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise InputError(
            "the engine torchrun needs processes started by it: torchrun --nproc-per-node 8 -m "
            "milannotations build … --engine torchrun"
        )
    torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield (
            torch.distributed.get_rank(),
            torch.distributed.get_world_size(),
            int(os.environ.get("LOCAL_RANK", 0)),
        )
    finally:
        torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return once all processes have reached this call."""
    torch.distributed.barrier()
