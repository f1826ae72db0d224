"""The split ledger: what was decided of the sky, looked up by position and only ever added to."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.groups import PLACED, Places, pixel_scales, places_of
from astrid_training.params import SplitPolicy
from astrid_training.splits import (
    QUARANTINE,
    Assignment,
    Division,
    LedgerMember,
    Sighting,
    assign_splits,
)

__all__ = ["extend_ledger", "ledger_head", "propose_splits", "sampling_keys"]

ROWS_AT_ONCE = 4096  # of the ledger, as Python objects and once more as what the driver sends


def propose_splits(
    connection: Connection, samples: pa.Table, policy: SplitPolicy, stamp_size: int
) -> Division:
    """Return group and split of each sample, as the ledger and the hash have them now.

    Args:
        connection: to read the ledger.
        samples: as `groups.places_of` reads them.
        policy: whose ledger.
        stamp_size: side of the stamp, pixels.
    """
    sighting = _sighting(samples, policy, stamp_size)
    return assign_splits(sighting, _members(connection, policy, sighting.places), policy)


def sampling_keys(
    samples: pa.Table, proposed: Sequence[Assignment], policy: SplitPolicy, stamp_size: int
) -> list[str]:
    """Return the key of each sample's sky group as if no dataset had been made before.

    By these, caps choose. By the keys of the ledger, which knows what an earlier dataset has taken,
    a collection that is repeated would take others.

    Args:
        samples: as for `propose_splits`.
        proposed: what that gave for them.
        policy: of the groups.
        stamp_size: side of the stamp, pixels.
    """
    if any(one.known for one in proposed):
        proposed = assign_splits(_sighting(samples, policy, stamp_size), [], policy).assignments
    return [one.group_key for one in proposed]


def _sighting(samples: pa.Table, policy: SplitPolicy, stamp_size: int) -> Sighting:
    places = places_of(samples, stamp_size, by_field=policy.by_night)
    return Sighting(
        places, samples["observation_time"].to_pylist(), stamp_size * pixel_scales(samples)
    )


def _members(connection: Connection, policy: SplitPolicy, places: Places) -> list[LedgerMember]:
    """Return the members of earlier datasets that these places, or theirs, can reach."""
    if not len(places):
        return []
    wanted = {
        "policy": policy.salt,
        "dec_from": float(places.dec_deg.min()),
        "dec_to": float(places.dec_deg.max()),
        # a square's corner is farther than its side
        "reach_arcsec": float(np.maximum(places.radius_arcsec, 1.5 * places.half_arcsec).max()),
        "movers": sorted({name for name in places.mover if name}),
        "fields": sorted({name for name in places.field if name}),
    }
    return [LedgerMember(*row) for row in connection.execute(query("split_members"), wanted)]


def ledger_head(connection: Connection, policy: SplitPolicy) -> int:
    """Return how many members the policy's ledger has."""
    found = connection.execute(query("ledger_head"), {"policy": policy.salt})
    return int(found.scalar_one())


def extend_ledger(
    connection: Connection,
    samples: pa.Table,
    assignments: Sequence[Assignment],
    policy: SplitPolicy,
    stamp_size: int,
    dataset_id: UUID,
) -> None:
    """Write the new groups, and where the members of all groups lie; quarantined ones stay open.

    Args:
        connection: of the publishing transaction.
        samples: that were divided.
        assignments: of each.
        policy: whose ledger.
        stamp_size: side of the stamp, pixels.
        dataset_id: the first dataset that holds the new groups.
    """
    settled = [one.reason is None and one.split != QUARANTINE for one in assignments]
    members = samples.select(PLACED).filter(np.array(settled, bool))
    kept = [one for one, holds in zip(assignments, settled, strict=True) if holds]
    new = {one.group_key: one for one in kept if not one.known}
    connection.execute(
        query("ledger_add"),
        {
            "policy": policy.salt,
            "dataset_id": dataset_id,
            "group_keys": sorted(new),
            "splits": [new[key].split for key in sorted(new)],
            "tiles": [new[key].tile for key in sorted(new)],
        },
    )
    places = places_of(members, stamp_size, by_field=policy.by_night)
    columns: dict[str, Any] = {
        "sample_keys": places.sample_key,
        "group_keys": [one.group_key for one in kept],
        "ra_deg": places.ra_deg,
        "dec_deg": places.dec_deg,
        "radius_arcsec": places.radius_arcsec,
        "half_arcsec": places.half_arcsec,
        "exposure": places.exposure,
        "reference": places.reference,
        "mover": places.mover,
        "field": places.field,
    }
    for start in range(0, len(places), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        some = {name: list(values[rows]) for name, values in columns.items()}
        connection.execute(query("ledger_members_add"), {"policy": policy.salt, **some})
