from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr
from sqlalchemy import Engine

from astrid_training.database import open_database

__all__ = ["AstridDatabase"]


class AstridDatabase(Block):
    """The PostgreSQL database that holds AstrID's detections and our training tables.

    Attributes:
        url: `postgresql+psycopg://user:password@host:port/name`; secret, for its password.

    Example:
        ```python
        from blocks import AstridDatabase

        database = AstridDatabase.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "AstrID Database"
    _block_type_slug = "astrid-database"
    _description = "The PostgreSQL database of AstrID's detections and of the training sets."
    _documentation_url = HttpUrl("https://github.com/Lawrence908/AstrID")

    url: SecretStr = Field(
        title="Database URL",
        description="postgresql+psycopg://user:password@host:port/name.",
    )

    def engine(self) -> Engine:
        """Return the process's engine for this database; nothing is contacted yet."""
        return open_database(self.url.get_secret_value())
