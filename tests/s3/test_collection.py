"""A collection from and to a bucket gives what one from and to a folder gives."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

AS_OF = datetime(2030, 1, 1, tzinfo=UTC)


def test_the_same_content_comes_of_a_bucket_and_of_a_folder(
    sky: Any, collect_from: Callable[[Any], Callable[..., Any]], s3_server: Any, databases: Any
) -> None:
    bucket = s3_server.make_store()
    files = sky.store.keys("")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, sky.store.get(key)), files))
    sky.engine.dispose()  # else its database cannot be copied
    engine = databases.make(sky.engine.url.database)
    in_bucket = replace(sky, store=bucket, engine=engine, home=sky.home.with_name("other"))

    from_folder = collect_from(sky)(as_of=AS_OF)
    from_bucket = collect_from(in_bucket)(as_of=AS_OF)
    packs = {kind: bucket.keys(kind) for kind in ("images", "flags", "masks", "measures")}
    again = collect_from(in_bucket)(as_of=AS_OF)
    databases.drop(engine)

    assert from_bucket.total_samples == from_folder.total_samples > 0
    assert from_bucket.digests["content"] == from_folder.digests["content"]
    assert from_bucket.version_id == from_folder.version_id  # of content and split
    assert from_bucket.funnel == from_folder.funnel
    assert packs == {kind: sky.store.keys(kind) for kind in packs}
    assert again.reused
