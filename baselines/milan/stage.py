"""One stage of training: epochs, early stopping, the best weights, resuming after a kill."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baselines.milan.training_config import TrainingConfig
from milannotations.errors import InputError
from milannotations.storage import atomic_path

Loss = Callable[[Any], Tensor]
Rank = Callable[[Mapping[str, float]], tuple[float, ...]]
OnEpoch = Callable[[str, dict[str, float]], None]


@dataclass
class Stage:
    """Trains one module until it no longer improves, and restores its best weights.

    An epoch depends only on the seed and its number, so that a training that was killed and resumed
    ends with exactly the same weights as one that was not.

    Attributes:
        name: Name of the stage, for people.
        module: The module.
        batches: Returns the batches of an epoch, given a random generator of its own.
        loss: Returns the loss of a batch.
        evaluate: Returns numbers of the module, which is in evaluation mode.
        options: The settings.
        path: File of the state; None for no file.
        on_epoch: Called with the name and the numbers after each epoch.
        on_batch: Called after each batch.
        history: The numbers of each epoch.
        best_epoch: Number of the epoch with the best weights, from 1; 0 before training.
        rank: Returns the values that must grow, from the numbers of an epoch; later values decide
            ties of earlier ones.
    """

    name: str
    module: nn.Module
    batches: Callable[[torch.Generator], Iterable[Any]]
    loss: Loss
    evaluate: Callable[[], dict[str, float]]
    options: TrainingConfig
    path: Path | None = None
    on_epoch: OnEpoch = lambda name, facts: None
    on_batch: Callable[[], None] = lambda: None
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    rank: Rank = lambda numbers: (numbers["value"],)

    def run(self) -> list[dict[str, float]]:
        """Train; return the numbers of each epoch.

        Raises:
            InputError: If the loss is no longer a number, or the file of the state is damaged.
        """
        device = next(self.module.parameters()).device
        optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
        )
        scaler = torch.amp.GradScaler(
            device.type, enabled=self.options.precision == "float16" and device.type == "cuda"
        )
        best = copy.deepcopy(self.module.state_dict())
        best_rank: tuple[float, ...] = ()  # less than any other
        bad, finished = 0, False
        saved = self._load(device)
        if saved is not None:
            self.module.load_state_dict(saved["module"])
            optimizer.load_state_dict(saved["optimizer"])
            scaler.load_state_dict(saved["scaler"])
            best, best_rank, bad = saved["best"], tuple(saved["best_rank"]), saved["bad"]
            self.history, self.best_epoch = saved["history"], saved["best_epoch"]
            finished = saved["finished"]
        for epoch in range(len(self.history), self.options.epochs):
            if finished:
                break
            facts = self._epoch(epoch, optimizer, scaler, device)
            rank = self.rank(facts)
            self.history.append(facts)
            if rank > best_rank:
                # A copy, as the next step changes the tensors of the state dictionary.
                best, best_rank, bad = copy.deepcopy(self.module.state_dict()), rank, 0
                self.best_epoch = epoch + 1
            else:
                bad += 1
            finished = bad > self.options.patience
            if self.path is not None:
                state = {
                    "module": self.module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scaler": scaler.state_dict(),
                    "best": best,
                    "best_rank": best_rank,
                    "best_epoch": self.best_epoch,
                    "bad": bad,
                    "history": self.history,
                    "finished": finished,
                }
                with atomic_path(self.path) as path:
                    torch.save(state, path)
            self.on_epoch(self.name, {"epoch": epoch + 1, **facts})
        self.module.load_state_dict(best)
        self.module.eval()
        return self.history

    def _epoch(
        self,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        device: torch.device,
    ) -> dict[str, float]:
        seed = self.options.seed * 100_003 + epoch
        torch.manual_seed(seed)  # of the dropout
        order = torch.Generator().manual_seed(seed)
        self.module.train()
        total, count = 0.0, 0
        mixed = self.options.precision != "float32"
        dtype = torch.float16 if self.options.precision == "float16" else torch.bfloat16
        for batch in self.batches(order):
            with torch.autocast(device.type, dtype=dtype, enabled=mixed):
                loss = self.loss(batch)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            total, count = total + float(loss.detach()), count + 1
            self.on_batch()
        if not math.isfinite(total):
            raise InputError(
                f"the loss of the {self.name} is {total} in epoch {epoch + 1}; lower the learning "
                "rate, or train in float32"
            )
        self.module.eval()
        with torch.inference_mode():
            numbers = self.evaluate()
        odd = [f"{name} {value}" for name, value in numbers.items() if not math.isfinite(value)]
        if odd:
            # Comparisons with NaN are false, so no later epoch would ever be better.
            raise InputError(
                f"the {self.name} has {', '.join(odd)} after epoch {epoch + 1}; lower the learning "
                "rate, or train in float32"
            )
        return {"train_loss": total / max(count, 1), **numbers}

    def _load(self, device: torch.device) -> dict[str, Any] | None:
        if self.path is None or not self.path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch raise
            raise InputError(f"{self.path} is damaged; delete it to begin anew") from error
        return state
