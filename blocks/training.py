from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl

__all__ = ["TrainingTarget"]


class TrainingTarget(Block):
    """What a collection starts for the dataset that it has published.

    Attributes:
        deployment: `flow/deployment`; it is given dataset_id, training_run_id and steps.
        parameters: further parameters of that deployment.

    Example:
        ```python
        from blocks import TrainingTarget

        target = TrainingTarget.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "AstrID Training Target"
    _block_type_slug = "astrid-training-target"
    _description = "The deployment that a collection starts for the dataset that it has published."
    _documentation_url = HttpUrl("https://github.com/Lawrence908/AstrID")

    deployment: str = Field(
        default="train-model/default",
        pattern=r"^[^/]+/[^/]+$",
        title="Deployment",
        description="flow/deployment; it is given dataset_id, training_run_id and steps.",
    )
    parameters: dict[str, Any] = Field(
        default={}, description="Further parameters of the deployment, such as channels or seed."
    )
