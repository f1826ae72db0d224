"""How the U-Net is trained: one model behind the flow's form, the command line and the library.

Imports no torch: a command line that lists its options needs none.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from astrid_training.params import Channel

__all__ = ["TrainingParams"]


class TrainingParams(BaseModel):
    """How the U-Net is trained. The defaults suit two CPU cores."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Training")

    steps: int = Field(200, ge=1, le=1_000_000, description="Optimiser steps, at most.")
    batch_size: int = Field(16, ge=2, le=4096, description="Samples per step.")
    learning_rate: float = Field(
        6e-3, gt=0, le=1, description="AdamW's learning rate, the highest of the schedule."
    )
    schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        description="Of the learning rate: up to it over the first twentieth of the steps, then down to "
        "0 along a cosine; or the same throughout.",
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="AdamW's weight decay.")
    dice_share: float = Field(0.5, ge=0, le=1, description="Share of the Dice loss.")
    focal_share: float = Field(
        0, ge=0, le=1, description="Share of the focal loss; the rest is binary cross-entropy."
    )
    focal_gamma: float = Field(
        2, ge=1, le=10, description="How much less the focal loss counts what is certain already."
    )
    balance: Literal["none", "label", "class"] = Field(
        "none",
        description="What each epoch has equally many of: nothing, real and bogus, or each class.",
    )
    turn: bool = Field(
        default=True, description="Turn and mirror training samples, anew each epoch."
    )
    shift_px: int = Field(
        0,
        ge=0,
        le=64,
        description="Shift them by up to so many pixels, at most the stamps' margin.",
    )
    noise_sigma: float = Field(
        0, ge=0, le=10, description="White noise added to them, in the unit of the scaled pixels."
    )
    channels: tuple[Channel, ...] = Field(
        ("difference",), min_length=1, description="Images the network sees, in this order."
    )
    width: int = Field(8, ge=1, le=256, description="Filters of the first level; AstrID uses 64.")
    validate_every: int = Field(
        25, ge=1, le=1_000_000, description="Steps from one look at the val split to the next."
    )
    patience: int = Field(
        8,
        ge=0,
        le=1_000_000,
        description="Looks without a better val loss after which training ends; 0: it never does. The "
        "best weights are kept either way.",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="A detection counts as real from this probability on."
    )
    radius_px: float = Field(
        3.0,
        ge=1,
        le=64,
        description="The probability is the largest within this distance of the target, pixels.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where it is computed; auto: on CUDA where torch finds it."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Of the network's layers; auto: on CUDA bfloat16 if the device has it, else float16, "
        "which is scaled; float32 on the CPU. Weights and loss are float32 always.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="CPU threads. Weights repeat to the bit for equal seed and threads.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Of the weights' start, the samples' order and their changes.",
    )

    @model_validator(mode="after")
    def _shares_leave_a_rest(self) -> Self:
        if self.dice_share + self.focal_share > 1:
            raise ValueError(
                f"dice_share {self.dice_share:g} and focal_share {self.focal_share:g} are more than 1 "
                "together; lower one of them"
            )
        return self
