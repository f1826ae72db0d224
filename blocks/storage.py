from pathlib import Path
from typing import Any

from prefect.blocks.core import Block
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials
from pydantic import Field, HttpUrl

from astrid_training.sources import Sources
from astrid_training.store import Credentials, Store
from astrid_training.workplace import Workplace

__all__ = ["AstridStore", "aws_credentials"]

CHECKSUMS = {
    # R2 and other servers refuse the checksums that newer clients add unasked
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


class AstridStore(Block):
    """Where packs and tables are written, and where AstrID's image files are read from.

    Attributes:
        url: `file:///folder`, or `s3://bucket/prefix` for S3 and R2.
        credentials: keys, region and server address of the bucket; none for a folder, or where
            the machine's own role opens the bucket.
        source_bucket: the bucket in which AstrID's bare object keys lie; none: the store itself.
        source_hosts: the web servers from which files may be read; none: no file of the web.
        source_folders: the folders in which files of the worker's machine may lie beside the store's
            own; none given: any.

    Example:
        ```python
        from blocks import AstridStore

        store = AstridStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "AstrID Store"
    _block_type_slug = "astrid-store"
    _description = "The folder or bucket of the training sets, and the bucket of the survey files."
    _documentation_url = HttpUrl("https://github.com/Lawrence908/AstrID")

    url: str = Field(title="Store URL", description="file:///folder or s3://bucket/prefix.")
    credentials: AwsCredentials | None = Field(
        default=None,
        description="Keys, region and endpoint of the bucket; none for a folder.",
        repr=False,  # prefect-aws keeps the access key's id in clear
    )
    source_bucket: str | None = Field(
        default=None, description="Bucket of bare source keys; none given: the store itself."
    )
    source_hosts: list[str] = Field(
        default=[],
        description="Web servers that source files may be read from: host or host:port.",
    )
    source_folders: list[str] | None = Field(
        default=None,
        description="Folders of the worker that source files may be read from; none given: any.",
    )

    def open(self) -> Store:
        """Return the store; a folder is made if it is not there."""
        return Store(self.url, self._keys)

    def sources(self) -> Sources:
        """Return where the paths in AstrID's database lead."""
        return Sources(
            self.open(),
            self._keys,
            self.source_bucket,
            self.source_hosts,
            folders=self.source_folders,
        )

    def workplace(self, cache: Path, database_url: str) -> Workplace:
        """Return store, sources and database as settings that another process can open.

        Args:
            cache: the folder on this machine for what can be fetched again.
            database_url: of PostgreSQL, with its password.
        """
        return Workplace(
            self.url,
            cache,
            self._keys,
            self.source_bucket,
            tuple(self.source_hosts),
            None if self.source_folders is None else tuple(self.source_folders),
            database_url,
        )

    @property
    def _keys(self) -> Credentials:
        if self.credentials is None:
            return Credentials()
        secret = self.credentials.aws_secret_access_key
        return Credentials(
            endpoint_url=self.credentials.aws_client_parameters.endpoint_url,
            access_key_id=self.credentials.aws_access_key_id,
            secret_access_key=None if secret is None else secret.get_secret_value(),
            region=self.credentials.region_name or "auto",
            session_token=self.credentials.aws_session_token,
        )


def aws_credentials(
    access_key_id: str | None,
    secret_access_key: str | None,
    *,
    endpoint_url: str | None,
    region: str,
) -> AwsCredentials:
    """Return the block of prefect-aws that holds these keys."""
    given: dict[str, Any] = {"endpoint_url": endpoint_url, "config": CHECKSUMS}
    return AwsCredentials(
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=region,
        aws_client_parameters=AwsClientParameters(**given),
    )
