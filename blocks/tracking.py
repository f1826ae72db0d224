from prefect.blocks.core import Block
from pydantic import Field, HttpUrl

__all__ = ["TrackingServer"]


class TrackingServer(Block):
    """The MLflow server that datasets and trainings are logged to.

    Attributes:
        uri: where it answers. A password does not belong here: MLflow reads it from
            MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.

    Example:
        ```python
        from blocks import TrackingServer

        tracking = TrackingServer.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "AstrID Tracking Server"
    _block_type_slug = "astrid-tracking-server"
    _description = "The MLflow server that datasets and trainings are logged to."
    _documentation_url = HttpUrl("https://github.com/Lawrence908/AstrID")

    uri: str = Field(
        title="MLflow tracking URI",
        description="http://host:port of the MLflow server, without user and password.",
    )
