"""One training loop for every architecture and task."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
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

    def validate(self, model: nn.Module) -> "Validation":
        """How well `model` does on the validation split."""
        ...


@dataclass(frozen=True)
class Validation:
    """`loss` is what early stopping goes by; `figures` and `samples` are for TensorBoard."""

    loss: float
    figures: Mapping[str, float] = field(default_factory=dict)
    samples: str = ""


@dataclass
class Progress:
    """How far a run has come; saved with each checkpoint. Losses are one pair an epoch: train, validation."""

    losses: list[tuple[float, float]]
    steps: int = 0
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
                self._record(epoch, train_loss, self.task.validate(kept.eval()), kept, board)
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
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["rng"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())

    def _train_epoch(self, epoch: int) -> float:
        self.model.train()
        narrow = self.device.type == "cuda" or self.config.bfloat16
        total = torch.zeros((), device=self.device)
        batches = self.task.batches(self.config.batch_size)
        for batch in tqdm(batches, desc=f"epoch {epoch}/{self.config.epochs}", unit="batch", leave=False):
            self.optimizer.zero_grad()
            self._set_learning_rate()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
                loss = self.task.loss(self.model, batch)
            loss.backward()
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            total += loss.detach()
            self.progress.steps += 1
        return total.item() / len(batches)

    def _set_learning_rate(self) -> None:
        config = self.config
        rate = config.learning_rate * config.lr_decay ** len(self.progress.losses)
        if config.warmup:
            step = self.progress.steps + 1
            rate *= min(step / config.warmup, math.sqrt(config.warmup / step))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _record(
        self, epoch: int, train_loss: float, validation: Validation, kept: nn.Module, board: SummaryWriter
    ) -> None:
        progress, val_loss = self.progress, validation.loss
        progress.losses.append((train_loss, val_loss))
        improved = val_loss < progress.best
        progress.best = val_loss if improved else progress.best
        progress.stale = 0 if improved else progress.stale + 1
        board.add_scalars("loss", {"train": train_loss, "validation": val_loss}, epoch)
        board.add_scalar("learning_rate", self.optimizer.param_groups[0]["lr"], epoch)
        for name, figure in validation.figures.items():
            board.add_scalar(name, figure, epoch)
        if validation.samples:
            board.add_text("samples", validation.samples, epoch)
        figures = "".join(f"  {name} {figure:.4g}" for name, figure in validation.figures.items())
        best = "  best" if improved else ""
        print(f"epoch {epoch}: train {train_loss:.4f}  validation {val_loss:.4f}{figures}{best}", flush=True)
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
