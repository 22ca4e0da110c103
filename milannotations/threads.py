"""Using several processors so that the numbers do not depend on how many there are.

A library that splits one sum among threads rounds it differently for each number of threads, and a
network that is given many images at once is computed by other kernels than for one. Descriptions
are chosen by comparing such numbers, and training feeds them back, so that the last digit decides.
On a CPU, therefore, each image goes through the network by itself, in a single thread, and several
images side by side. What that costs stands in docs/performance.md.
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
    """Have torch compute each operation in a single thread; gives the number that was set."""
    threads = torch.get_num_threads()
    with fixed_threads(1):
        yield threads


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Have torch compute each operation in so many threads, whatever the machine has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return ``function(item)`` of all items, each computed in one thread.

    As many items are computed at once as torch has threads.

    Args:
        function: Is called from several threads at once, so it must change nothing.
        items: What it is given, one after the other.

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
    """Do the same with a module that ``function`` sets hooks or attributes of.

    Every thread has a copy of the module that shares its parameters, so that hooks meet nobody
    else's images.

    Args:
        module: On the CPU.
        function: Must change no parameter.
        items: What it is given, one after the other.
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
