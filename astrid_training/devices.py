"""Where a network is computed, and with what precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = ["Machine", "choose_machine", "deterministic"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and the precision of a network's layers on it; weights are float32 always."""

    device: torch.device
    dtype: torch.dtype

    def take(self, model: UNet) -> UNet:
        """Move a model here and return it, with its weights in the order that is fastest."""
        # a third less time on a CPU of two cores; on CUDA half precision wants it
        return model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's annotations lack it

    def autocast(self) -> AbstractContextManager[object]:
        """Let the block's layers compute in the machine's precision."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients from vanishing in float16; it does nothing otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def choose_machine(params: TrainingParams) -> Machine:
    """Return the machine that the parameters ask for.

    Raises:
        ValueError: if they ask for CUDA and there is none.
    """
    there = torch.cuda.is_available()
    if params.device == "cuda" and not there:
        raise ValueError(
            "device is cuda and torch finds none; train on a machine that has one with torch's CUDA "
            "build, or give device=auto or cpu"
        )
    device = "cuda" if there and params.device != "cpu" else "cpu"
    name = params.precision if params.precision != "auto" else _best(device)
    dtype: torch.dtype = getattr(torch, name)
    return Machine(torch.device(device), dtype)


def _best(device: str) -> str:
    if device == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


@contextmanager
def deterministic(machine: Machine, seed: int, threads: int) -> Iterator[None]:
    """Give the block its own random state and threads, and flush denormals (threefold slower)."""
    before = torch.are_deterministic_algorithms_enabled()
    warned_before = torch.is_deterministic_algorithms_warn_only_enabled()
    threads_before = torch.get_num_threads()
    on_cuda = machine.device.type == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_cuda else []):
        torch.manual_seed(seed)
        # on CUDA some layers' gradients have no repeatable form: then it warns and goes on
        torch.use_deterministic_algorithms(True, warn_only=on_cuda)  # noqa: FBT003 - by position only
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)  # its default; torch cannot be asked
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(before, warn_only=warned_before)
