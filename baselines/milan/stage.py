"""One stage of training: epochs, early stopping, the best weights, and going on after a kill."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baselines.milan.options import TrainingOptions
from milannotations.errors import InputError
from milannotations.storage import atomic_path

Loss = Callable[[Any], Tensor]
OnEpoch = Callable[[str, dict[str, float]], None]


@dataclass
class Stage:
    """Trains one module until it no longer improves, and leaves it with its best weights.

    What an epoch does depends on the seed and its number alone, so that a training that was
    killed and goes on ends with the very weights of one that was not.

    Attributes:
        name: For the state's file and the progress bar.
        module: What is trained.
        batches: The batches of an epoch, given a generator of its own.
        loss: The loss of a batch.
        evaluate: Numbers of the module in evaluation mode; ``value`` is what must grow.
        options: The settings.
        place: File of the state; None keeps none.
        on_epoch: Called with the name and the numbers after each epoch.
        on_batch: Called after each batch.
        history: The numbers of each epoch.
    """

    name: str
    module: nn.Module
    batches: Callable[[torch.Generator], Iterable[Any]]
    loss: Loss
    evaluate: Callable[[], dict[str, float]]
    options: TrainingOptions
    place: Path | None = None
    on_epoch: OnEpoch = lambda name, facts: None
    on_batch: Callable[[], None] = lambda: None
    history: list[dict[str, float]] = field(default_factory=list)

    def run(self) -> list[dict[str, float]]:
        """Train; return the numbers of each epoch.

        Raises:
            InputError: If the loss is no longer a number, or the state's file is damaged.
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
        best_value, bad, finished = -math.inf, 0, False
        saved = self._load(device)
        if saved is not None:
            self.module.load_state_dict(saved["module"])
            optimizer.load_state_dict(saved["optimizer"])
            scaler.load_state_dict(saved["scaler"])
            best, best_value, bad = saved["best"], saved["best_value"], saved["bad"]
            self.history = saved["history"]
            finished = saved["finished"]
        for epoch in range(len(self.history), self.options.epochs):
            if finished:
                break
            facts = self._epoch(epoch, optimizer, scaler, device)
            value = facts.pop("value")
            self.history.append(facts)
            if value > best_value:
                # A copy: the state dictionary itself is changed by the next step.
                best, best_value, bad = copy.deepcopy(self.module.state_dict()), value, 0
            else:
                bad += 1
            finished = bad > self.options.patience
            if self.place is not None:
                state = {
                    "module": self.module.state_dict(), "optimizer": optimizer.state_dict(),
                    "scaler": scaler.state_dict(), "best": best, "best_value": best_value,
                    "bad": bad, "history": self.history, "finished": finished,
                }  # fmt: skip
                with atomic_path(self.place) as path:
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
            return {"train_loss": total / max(count, 1), **self.evaluate()}

    def _load(self, device: torch.device) -> dict[str, Any] | None:
        if self.place is None or not self.place.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.place, map_location=device, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
            raise InputError(f"{self.place} is damaged; delete it to begin anew") from error
        return state
