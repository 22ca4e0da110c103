"""Using several processors such that results do not depend on their number.

A library that splits one sum among threads rounds it differently for each number of threads, and a
network computes many images at once with other kernels than a single image. Descriptions are chosen
by comparing such numbers, and training feeds them back, so that the last digit can decide. On a
CPU, therefore, each image passes through the network by itself, in a single thread, and several
images are computed side by side. docs/performance.md says what that costs.
"""

from __future__ import annotations

import copy
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[int]:
    """Have torch compute each operation in a single thread; yields the previous number."""
    threads = torch.get_num_threads()
    with fixed_threads(1):
        yield threads


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Have torch compute each operation in this many threads, whatever the machine has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return ``function(item)`` for all items, each computed in one thread.

    The number of items computed at once is torch's number of threads.

    Args:
        function: Called from several threads at once, so it must change nothing.
        items: The items.

    Returns:
        The results in the order of the items; they do not depend on the number of threads.
    """
    todo = list(items)
    with one_thread() as threads:
        workers = min(threads, len(todo))
        if workers < 2:
            return [function(item) for item in todo]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(function, todo))


def in_copies(module: M, function: Callable[[M, T], R], items: Iterable[T]) -> list[R]:
    """Like ``side_by_side``, with a module on which ``function`` may set hooks or attributes.

    Every thread has its own copy of the module, which shares the parameters, so that hooks never
    see another thread's images.

    Args:
        module: A module on the CPU.
        function: Called with a copy of the module and an item; must not change parameters.
        items: The items.
    """
    todo = list(items)
    copies: queue.SimpleQueue[M] = queue.SimpleQueue()
    copies.put(module)
    for _ in range(1, min(torch.get_num_threads(), len(todo))):
        copies.put(_sharing(module))

    def work(item: T) -> R:
        own = copies.get()
        try:
            return function(own, item)
        finally:
            copies.put(own)

    return side_by_side(work, todo)


def _sharing(module: M) -> M:
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
