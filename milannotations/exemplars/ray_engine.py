"""The pass on many devices or machines with Ray: one actor per device; dead actors are replaced."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.exemplars.build import Engine, kept_words, say_resumed
from milannotations.exemplars.collect import Job, collect, resumed
from milannotations.exemplars.shards import PartialStatistics, missing, shard_path
from milannotations.interruption import held_back, saying_what_is_kept
from milannotations.progress import Bar

# Pieces of work per worker: enough that workers finish at about the same time, few enough that the
# overhead of each piece is negligible.
_PIECES = 16
_LOOK_UP = 1.0  # seconds between checks for Ctrl-C
_DEATHS_ALLOWED = 3  # per worker, before the work itself is assumed to be the cause


class Worker:
    """What runs in an actor: accumulates statistics over many pieces until they are requested."""

    def __init__(self, job: Job, device: str, threads: int | None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.device = resolve_device(device)  # also sets this process to true float32 on CUDA
        self.job = job.to(self.device)
        if job.options.compile:
            self.job.module.compile()
        self.statistics = PartialStatistics.empty(job.plan, self.device)

    def run(self, piece: range | None, hand_over: bool) -> tuple[Any, list[str]]:
        """Run a piece; on request, return the statistics since the last request and reset them."""
        messages: list[str] = []
        if piece is not None:
            collect(self.job, self.statistics, piece, self.device, say=messages.append)
        if not hand_over:
            return None, messages
        dumped = self.statistics.dump()
        self.statistics = PartialStatistics.empty(self.job.plan, self.device)
        return dumped, messages


def ray_engine(workers: int, address: str | None = None) -> Engine:
    """Return an engine that runs on Ray.

    Args:
        workers: How many actors; on CUDA each takes one GPU, elsewhere its share of the cores.
        address: Of a running cluster, or ``auto``; default starts Ray on this machine, unless
            the environment variable ``RAY_ADDRESS`` names a cluster. Every machine must see the
            images under the same path.

    Raises:
        InputError: If Ray is not installed, or there are no workers.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the engine ray needs the extra: pip install 'milannotations[distributed]'"
        ) from error
    if workers < 1:
        raise InputError(f"{workers} workers; there must be at least 1")
    return lambda job, device, work, bar: _Driver(workers, address, job, device, work, bar).run()


class _Driver:
    """Hands out pieces, gathers the statistics, and replaces workers that die."""

    def __init__(
        self,
        workers: int,
        address: str | None,
        job: Job,
        device: torch.device,
        work: Path,
        bar: Bar,
    ) -> None:
        self.workers = workers
        self.address = address
        self.job = job
        self.device = device
        self.bar = bar
        self.path = shard_path(work, 1, 1)
        self.whole = resumed(self.path, job.plan)
        self.queue: deque[range] = deque()
        # Pieces that each worker is running, or has run without returning their statistics.
        self.pieces: dict[Any, list[range]] = {}
        self.given: dict[Any, float] = {}
        self.reported: dict[Any, int] = {}  # images on the bar whose statistics are not here yet
        self.deaths = 0

    def run(self) -> PartialStatistics:
        """Run all images that have not been run, and return the statistics of all."""
        import ray

        say_resumed(self.whole.done, self.job.plan.images, self.bar)
        gaps = missing(self.whole, range(self.job.plan.images))
        left = sum(map(len, gaps))
        batch = self.job.options.batch_size
        length = max(batch, left // (self.workers * _PIECES) // batch * batch)
        for gap in gaps:
            self.queue.extend(pieces_of(gap, length))
        if not self.queue:
            return self.whole
        started = not ray.is_initialized()
        if started:
            ray.init(
                address=self.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        images = self.job.plan.images
        try:
            with saying_what_is_kept(lambda: kept_words(self.path, images)):
                self._gather()
        finally:
            for actor in self.pieces:
                ray.kill(actor)
            if started:
                ray.shutdown()
        self.whole.save(self.path)
        return self.whole

    def _gather(self) -> None:
        import ray

        # On the CPU, so that it can be sent to machines whatever devices they have.
        shared = ray.put(self.job.to("cpu"))
        running: dict[Any, Any] = {}
        for _ in range(min(self.workers, len(self.queue))):
            self._next(self._start(shared), running)
        with held_back() as interrupted:
            self._gather_from(running, shared, interrupted)

    def _gather_from(
        self, running: dict[Any, Any], shared: Any, interrupted: Callable[[], bool]
    ) -> None:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        saved = time.monotonic()
        while running:
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_UP)
            if interrupted():
                self.whole.save(self.path)
                raise KeyboardInterrupt
            if not ready:
                continue
            actor = running.pop(ready[0])
            try:
                dumped, messages = ray.get(ready[0])
            except RayActorError as error:
                lost = self.pieces.pop(actor)
                self.queue.extendleft(reversed(lost))
                self.bar.advance(-self.reported[actor])
                self.deaths += 1
                self.bar.say(f"a worker died; its {len(lost)} pieces of work are run again")
                if self.deaths > _DEATHS_ALLOWED * self.workers:
                    raise InputError(
                        f"workers died {self.deaths} times, the last time with: {error}"
                    ) from error
                self._next(self._start(shared), running)
                continue
            except RayTaskError as error:
                if isinstance(error.cause, InputError):
                    raise InputError(str(error.cause)) from error
                raise
            for message in messages:
                self.bar.say(message)
            done = sum(map(len, self.pieces[actor]))
            self.bar.advance(done - self.reported[actor])
            self.reported[actor] = done
            if dumped is not None:
                self.whole.add(PartialStatistics.restore(*dumped))
                self._reset(actor)
            if time.monotonic() - saved > self.job.options.checkpoint_seconds:
                self.whole.save(self.path)
                saved = time.monotonic()
            self._next(actor, running)

    def _start(self, shared: Any) -> Any:
        import ray

        cuda = self.device.type == "cuda"
        # The threads of all machines are divided evenly: more threads than cores would be slower.
        cores = torch.get_num_threads() * len(ray.nodes())
        threads = None if cuda else max(1, min(torch.get_num_threads(), cores // self.workers))
        # A GPU per actor; on a CPU actors may share cores, so none are reserved.
        resources: dict[str, Any] = {"num_gpus": 1} if cuda else {"num_cpus": 0}
        device = "cuda" if cuda else str(self.device)  # Ray shows each actor only its own GPU
        remote_class: Any = ray.remote(Worker).options(scheduling_strategy="SPREAD", **resources)
        actor = remote_class.remote(shared, device, threads)
        self._reset(actor)
        return actor

    def _reset(self, actor: Any) -> None:
        self.pieces[actor] = []
        self.reported[actor] = 0
        self.given[actor] = time.monotonic()

    def _next(self, actor: Any, running: dict[Any, Any]) -> None:
        """Give an actor its next piece, request its statistics, or release it."""
        import ray

        piece = self.queue.popleft() if self.queue else None
        if piece is not None:
            self.pieces[actor].append(piece)
        elif not self.pieces[actor]:
            ray.kill(actor)
            del self.pieces[actor]
            return
        waited = time.monotonic() - self.given[actor]
        hand_over = not self.queue or waited > self.job.options.checkpoint_seconds
        running[actor.run.remote(piece, hand_over)] = actor


def pieces_of(span: range, length: int) -> list[range]:
    """Cut a range into pieces of a length; the last one may be shorter.

    >>> pieces_of(range(2, 9), 3)
    [range(2, 5), range(5, 8), range(8, 9)]
    """
    return [span[first : first + length] for first in range(0, len(span), length)]
