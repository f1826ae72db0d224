"""The split ledger: what was decided of the sky, looked up by position and only ever added to."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.params import SplitPolicy
from astrid_training.splits import (
    QUARANTINE,
    Assignment,
    LedgerMember,
    assign_splits,
    link_radius,
)

__all__ = ["extend_ledger", "ledger_head", "propose_splits"]


def propose_splits(
    connection: Connection, samples: pa.Table, policy: SplitPolicy
) -> list[Assignment]:
    """Return group and split of each sample, as the ledger and the hash have them now.

    Args:
        connection: to read the ledger.
        samples: sample_key, ra_deg, dec_deg, fwhm_arcsec, observation_time.
        policy: whose ledger.
    """
    dec, radius = samples["dec_deg"].to_numpy(), link_radius(samples["fwhm_arcsec"].to_numpy())
    return assign_splits(
        samples["sample_key"].to_pylist(),
        samples["ra_deg"].to_numpy(),
        dec,
        radius,
        samples["observation_time"].to_pylist(),
        _members(connection, policy, dec, radius),
        policy,
    )


def _members(
    connection: Connection,
    policy: SplitPolicy,
    dec_deg: NDArray[np.float64],
    radius_arcsec: NDArray[np.float64],
) -> list[LedgerMember]:
    """Return the members of earlier datasets that these positions, or theirs, can reach."""
    if not len(dec_deg):
        return []
    wanted = {
        "policy": policy.salt,
        "dec_from": float(dec_deg.min()),
        "dec_to": float(dec_deg.max()),
        "reach_arcsec": float(radius_arcsec.max()),
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
    dataset_id: UUID,
) -> None:
    """Write the new groups, and where the members of all groups lie; quarantined ones stay open."""
    groups = {one.group_key: one.split for one in assignments if not one.known}
    connection.execute(
        query("ledger_add"),
        {
            "policy": policy.salt,
            "dataset_id": dataset_id,
            "group_keys": sorted(groups),
            "splits": [groups[key] for key in sorted(groups)],
        },
    )
    settled = np.array([one.split != QUARANTINE for one in assignments], bool)
    members = samples.filter(settled)
    connection.execute(
        query("ledger_members_add"),
        {
            "policy": policy.salt,
            "sample_keys": members["sample_key"].to_pylist(),
            "group_keys": members["group_key"].to_pylist(),
            "ra_deg": members["ra_deg"].to_pylist(),
            "dec_deg": members["dec_deg"].to_pylist(),
            "radius_arcsec": link_radius(members["fwhm_arcsec"].to_numpy()).tolist(),
        },
    )
