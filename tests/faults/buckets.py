"""Skies whose files lie in a bucket."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

__all__ = ["into_bucket"]


def into_bucket(sky: Any, s3_server: Any) -> Any:
    """Return the sky with its files in a bucket, so that they have to be fetched."""
    bucket = s3_server.make_store()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, sky.store.get(key)), sky.store.keys("")))
    return replace(sky, store=bucket)
