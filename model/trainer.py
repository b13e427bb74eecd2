"""One training loop for every architecture and task."""

import json
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from model.config import TrainingConfig

LAST = "last.pt"
BEST = "best.pt"
LOSSES = "losses.json"


class Batches(Sized, Iterable[Any], Protocol):
    """One epoch of training batches."""


class Task(Protocol):
    """What is learned: the data, and what counts as error."""

    def batches(self, batch_size: int) -> Batches:
        """A new epoch, in an order drawn from torch's global generator."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The training loss of one batch, a scalar."""
        ...

    def validate(self, model: nn.Module) -> float:
        """The loss that early stopping goes by, over the whole validation split."""
        ...


@dataclass
class Progress:
    """How far a run has come; saved with each checkpoint. Losses are one pair an epoch: train, validation."""

    losses: list[tuple[float, float]]
    best: float = float("inf")
    stale: int = 0


class Trainer:
    """Trains `model` on `task` in `run`, a directory that holds the checkpoints and TensorBoard's events."""

    def __init__(self, model: nn.Module, task: Task, config: TrainingConfig, run: Path, device: torch.device) -> None:
        self.device = device
        self.model = model.to(device)
        self.task = task
        self.config = config
        self.run = run
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma=config.lr_decay)
        self.average = None
        if config.weight_average:
            average = get_ema_multi_avg_fn(config.weight_average)
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.progress = Progress(losses=[])

    def fit(self) -> Progress:
        """Train on from where the run is, to the last epoch or until patience ends; best.pt has the best weights."""
        with SummaryWriter(self.run / "tensorboard") as board:
            while len(self.progress.losses) < self.config.epochs and self.progress.stale < self.config.patience:
                epoch = len(self.progress.losses) + 1
                train_loss = self._train_epoch(epoch)
                kept = self.model if self.average is None else self.average.module
                val_loss = self.task.validate(kept.eval())
                self._record(epoch, train_loss, val_loss, kept, board)
        return self.progress

    def solve(self, fit: Callable[[], None]) -> Progress:
        """In place of `fit`, for a model that has a closed form: one call of it, recorded as one epoch."""
        if not self.progress.losses:
            fit()
            self.model.eval()
            batches = self.task.batches(self.config.batch_size)
            with torch.no_grad(), SummaryWriter(self.run / "tensorboard") as board:
                train_loss = sum(self.task.loss(self.model, batch).item() for batch in batches) / len(batches)
                self._record(1, train_loss, self.task.validate(self.model), self.model, board)
        return self.progress

    def resume(self) -> None:
        """Take up the run's last checkpoint: what follows is what an unbroken run would have done."""
        # numbers, strings and tensors only: a checkpoint is data, never code
        state = torch.load(self.run / LAST, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["rng"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())

    def _train_epoch(self, epoch: int) -> float:
        self.model.train()
        total = torch.zeros((), device=self.device)
        batches = self.task.batches(self.config.batch_size)
        for batch in tqdm(batches, desc=f"epoch {epoch}/{self.config.epochs}", unit="batch", leave=False):
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                loss = self.task.loss(self.model, batch)
            loss.backward()
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            total += loss.detach()
        self.scheduler.step()
        return total.item() / len(batches)

    def _record(self, epoch: int, train_loss: float, val_loss: float, kept: nn.Module, board: SummaryWriter) -> None:
        progress = self.progress
        progress.losses.append((train_loss, val_loss))
        improved = val_loss < progress.best
        progress.best = val_loss if improved else progress.best
        progress.stale = 0 if improved else progress.stale + 1
        board.add_scalars("loss", {"train": train_loss, "validation": val_loss}, epoch)
        board.add_scalar("learning_rate", self.scheduler.get_last_lr()[0], epoch)
        print(f"epoch {epoch}: train {train_loss:.4f}  validation {val_loss:.4f}{'  best' if improved else ''}")
        if improved:
            save(kept.state_dict(), self.run / BEST)
        (self.run / LOSSES).write_text(json.dumps(progress.losses))
        save(self._state(), self.run / LAST)  # the last: a kill before it has the epoch done again, files and all

    def _state(self) -> dict[str, Any]:
        average = {"average": self.average.state_dict()} if self.average is not None else {}
        cuda = {"cuda_rng": torch.cuda.get_rng_state()} if self.device.type == "cuda" else {}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "progress": vars(self.progress),
            "rng": torch.get_rng_state(),
            **average,
            **cuda,
        }


def save(state: dict[str, Any], path: Path) -> None:
    """torch.save, but a killed process leaves the old file or the new one, never half of either."""
    draft = path.with_suffix(".draft")
    torch.save(state, draft)
    draft.replace(path)
