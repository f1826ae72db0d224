"""From weights to better ones: steps on the train split, looks at val, and when to end."""

import math
from collections.abc import Callable, Iterator

import torch

from astrid_training.augment import Augmentation, GaussianNoise
from astrid_training.checkpoints import Checkpoints, Progress
from astrid_training.dataset import AstrIDTrainingDataset
from astrid_training.devices import Machine
from astrid_training.items import Batch
from astrid_training.losses import segmentation_loss, shares_of
from astrid_training.predictions import mean_loss
from astrid_training.samplers import BalancedSampler, EpochSampler
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = ["augmentation_of", "batches", "learning_rate", "optimise"]

WARM_UP = 0.05  # of the steps

Told = Callable[[int, float], None]


def optimise(
    model: UNet,
    train: AstrIDTrainingDataset,
    val: AstrIDTrainingDataset,
    params: TrainingParams,
    machine: Machine,
    checkpoints: Checkpoints,
    *,
    resume: bool = False,
    progress: Told | None = None,
) -> Progress:
    """Train the model and leave it with the weights that served val best.

    Args:
        model: on the machine's device.
        train: what the steps see, with its augmentation.
        val: what decides which weights are best, and when it is enough.
        params: how.
        machine: where.
        checkpoints: where the state is kept.
        resume: go on from the state that is kept there, if there is one.
        progress: called after each step with its number, from 1, and its loss.

    Raises:
        FloatingPointError: if the loss is no longer finite.
        CheckpointError: if the state there is of another training, or damaged.
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    scaler = machine.scaler()
    done = checkpoints.resume(model, optimiser, scaler) if resume else Progress()
    step = _Step(model, optimiser, scaler, params, machine)
    for batch in batches(train, params, done.step):
        if _enough(done, params):
            break
        done.losses.append(step(batch, done.step))
        if progress is not None:
            progress(done.step, done.losses[-1])
        if done.step % params.validate_every == 0 or done.step == params.steps:
            if len(val):
                done.looks.append((done.step, mean_loss(model, val, params, machine)))
            checkpoints.save(done, model, optimiser, scaler)
    checkpoints.restore_best(model)
    return done


def _enough(done: Progress, params: TrainingParams) -> bool:
    tired = params.patience > 0 and done.looks_since_best >= params.patience
    return tired or done.step >= params.steps


class _Step:
    """One step of the optimiser."""

    def __init__(
        self,
        model: UNet,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        params: TrainingParams,
        machine: Machine,
    ) -> None:
        self.model, self.optimiser, self.scaler = model, optimiser, scaler
        self.params, self.machine = params, machine

    def __call__(self, batch: Batch, number: int) -> float:
        """Return the loss of the batch before the step; `number` counts from 0."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.params, number)
        self.model.train()
        here = batch.to(self.machine.device, non_blocking=True)
        with self.machine.autocast():
            logits = self.model(here.image)
        loss = segmentation_loss(logits, here.mask, here.weight, shares_of(self.params))
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch has no annotation
        self.scaler.step(self.optimiser)
        self.scaler.update()
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} at step {number + 1}; lower learning_rate "
                f"(now {self.params.learning_rate:g})"
            )
        return value


def learning_rate(params: TrainingParams, number: int) -> float:
    """Return the learning rate of a step; `number` counts from 0."""
    if params.schedule == "constant":
        return params.learning_rate
    rising = min(1.0, (number + 1) / max(1.0, WARM_UP * params.steps))
    return params.learning_rate * rising * (1 + math.cos(math.pi * number / params.steps)) / 2


def batches(train: AstrIDTrainingDataset, params: TrainingParams, first: int) -> Iterator[Batch]:
    """Return one batch a step from step `first` on, without end: epoch after epoch in new orders.

    The samples of an epoch that fill no batch are left out of it; each has its own. What comes at a step
    depends on seed and step alone.

    Args:
        train: the samples.
        params: batch size, balance, noise and seed.
        first: number of the first step, from 0.
    """
    sampler = _sampler(train, params)
    noise = GaussianNoise(params.noise_sigma, train.channels, params.seed)
    size = min(params.batch_size, len(train))
    epoch, place = divmod(first, len(train) // size)
    while True:
        sampler.set_epoch(epoch)
        noise.set_epoch(epoch)
        order = list(sampler)
        for start in range(place * size, len(order) - size + 1, size):
            batch = train.__getitems__(order[start : start + size]).batch
            yield noise(batch) if params.noise_sigma else batch
        epoch, place = epoch + 1, 0


def _sampler(train: AstrIDTrainingDataset, params: TrainingParams) -> EpochSampler:
    if params.balance == "none":
        return EpochSampler(train, seed=params.seed)
    return BalancedSampler(train, by=params.balance, seed=params.seed)


def augmentation_of(params: TrainingParams) -> Augmentation | None:
    """Return how training samples are turned and moved; None: not at all."""
    if not params.turn and not params.shift_px:
        return None
    return Augmentation(d4=params.turn, shift_px=params.shift_px, seed=params.seed)
