"""Where and how precisely a network is computed, and that half precision is taken care of."""

from pathlib import Path
from typing import Any

import pytest
import torch

from astrid_training.dataset import splits_from
from astrid_training.devices import choose_machine, deterministic
from astrid_training.training import TrainingParams, train_unet
from astrid_training.unet import UNet


def cuda(monkeypatch: pytest.MonkeyPatch, *, bfloat16: bool) -> None:
    """Let torch say that there is CUDA, which nothing here then touches."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)


@pytest.mark.parametrize(
    ("asked", "device", "dtype"),
    [
        ({}, "cuda", torch.bfloat16),
        ({"device": "cpu"}, "cpu", torch.float32),
        ({"device": "cpu", "precision": "bfloat16"}, "cpu", torch.bfloat16),
        ({"device": "cuda", "precision": "float32"}, "cuda", torch.float32),
    ],
)
def test_auto_takes_cuda_and_half_precision_there(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], device: str, dtype: torch.dtype
) -> None:
    cuda(monkeypatch, bfloat16=True)

    machine = choose_machine(TrainingParams(**asked))

    assert (machine.device.type, machine.dtype) == (device, dtype)


def test_a_device_without_bfloat16_gets_float16_with_a_scaler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda(monkeypatch, bfloat16=False)

    machine = choose_machine(TrainingParams())

    assert machine.dtype is torch.float16


def test_cuda_that_is_asked_for_and_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ValueError, match="device is cuda and torch finds none; train on a machine"):
        choose_machine(TrainingParams(device="cuda"))
    assert choose_machine(TrainingParams()).device.type == "cpu"


@pytest.mark.parametrize(
    ("precision", "scales"), [("float32", False), ("bfloat16", False), ("float16", True)]
)
def test_layers_compute_in_the_precision_that_was_asked_for(
    precision: str, *, scales: bool
) -> None:
    machine = choose_machine(TrainingParams(device="cpu", precision=precision))
    model = machine.take(UNet(width=2)).eval()

    with machine.autocast():
        logits = model(torch.zeros(1, 1, 16, 16))

    assert logits.dtype is getattr(torch, precision)
    assert machine.scaler().is_enabled() is scales
    assert all(weight.dtype is torch.float32 for weight in model.parameters())


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_half_precision_learns_much_the_same_and_goes_on_to_the_same_bits(
    published_few: Any, tmp_path: Path, precision: str
) -> None:
    splits = splits_from(published_few.record, published_few.store, tmp_path / "cache")
    few = TrainingParams(device="cpu", steps=4, batch_size=8, width=2, validate_every=2)
    half = few.model_copy(update={"precision": precision})

    def die(step: int, _loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    exact = train_unet(splits, few, tmp_path / "exact")
    whole = train_unet(splits, half, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_unet(splits, half, tmp_path / "killed", die)
    again = train_unet(splits, half, tmp_path / "killed", resume=True)

    assert whole.report.precision == precision
    assert whole.loss_history == pytest.approx(exact.loss_history, rel=0.05)
    assert whole.loss_history != exact.loss_history
    assert again.loss_history == whole.loss_history


def test_the_callers_settings_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    machine = choose_machine(TrainingParams(device="cpu"))

    with deterministic(machine, seed=3, threads=1):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()

    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
