"""Neighbours: who else is in a stamp, what people said of it, and on which pixel it lies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, text

from astrid_training.neighbours import add_neighbours, place_neighbours
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects

PARAMS = TrainingDataCollectionParams(survey_ids=["sim_ztf"])
COPIED = (
    "model_run_id, observation_id, pixel_x, pixel_y, confidence_score, detection_type, model_version, "
    "is_validated, updated_at"
)
ADD = text(
    f"INSERT INTO detections (id, ra, dec, status, created_at, {COPIED}) "
    f"SELECT :new, :ra, :dec, 'PENDING', created_at + interval '1 second', {COPIED} "
    "FROM detections WHERE id = :like"
)
Row = dict[str, Any]


@pytest.fixture
def lonely(sky: Any) -> Iterator[tuple[Connection, Row]]:
    """A transaction, and a kept subject without neighbours."""
    with sky.engine.connect() as connection:
        rows = selected(connection)
        yield connection, next(row for row in rows if row["neighbours"] == [])


def selected(connection: Connection, params: TrainingDataCollectionParams = PARAMS) -> list[Row]:
    rows: list[Row] = select_subjects(connection, params, datetime.now(UTC)).to_pylist()
    return rows


def add_detection(connection: Connection, like: Row, ra: float, dec: float) -> str:
    new = str(uuid4())
    connection.execute(ADD, {"new": new, "ra": ra % 360, "dec": dec, "like": like["detection_id"]})
    return new


def beside(row: Row, east: float, north: float) -> tuple[float, float]:
    cosine = np.cos(np.radians(row["dec_deg"]))
    return row["ra_deg"] + east / 3600 / cosine, row["dec_deg"] + north / 3600


def neighbours_of(connection: Connection, row: Row) -> list[Row]:
    again = {one["sample_key"]: one for one in selected(connection)}
    found: list[Row] = again[row["sample_key"]]["neighbours"]
    return found


def test_a_detection_that_nobody_reviewed_is_a_neighbour_without_a_label(
    lonely: tuple[Connection, Row],
) -> None:
    connection, row = lonely
    add_detection(connection, row, *beside(row, 10.0, -7.0))

    (one,) = neighbours_of(connection, row)

    assert one["code"] == 255
    assert (one["east_arcsec"], one["north_arcsec"]) == pytest.approx((10, -7), abs=0.01)


@pytest.mark.parametrize(("east", "count"), [(0.3, 0), (1.0, 0), (3.0, 1), (45.0, 1), (90.0, 0)])
def test_another_view_of_the_target_and_what_is_far_off_are_no_neighbours(
    lonely: tuple[Connection, Row], east: float, count: int
) -> None:
    connection, row = lonely
    add_detection(connection, row, *beside(row, east, 0.0))

    assert len(neighbours_of(connection, row)) == count


def test_two_views_of_one_neighbour_are_one(lonely: tuple[Connection, Row]) -> None:
    connection, row = lonely
    add_detection(connection, row, *beside(row, 10.0, 0.0))
    add_detection(connection, row, *beside(row, 10.3, 0.0))

    assert len(neighbours_of(connection, row)) == 1


def test_what_came_after_the_as_of_time_is_not_known(lonely: tuple[Connection, Row]) -> None:
    connection, row = lonely
    new = add_detection(connection, row, *beside(row, 10.0, 0.0))
    later = text("UPDATE detections SET created_at = now() + interval '1 day' WHERE id = :id")
    connection.execute(later, {"id": new})

    assert neighbours_of(connection, row) == []


@pytest.mark.parametrize("ra", [0.0004, 359.9996])
def test_neighbours_are_found_across_ra_zero(lonely: tuple[Connection, Row], ra: float) -> None:
    connection, row = lonely
    move = text("UPDATE detections SET ra = :ra, dec = 85 WHERE observation_id = :id")
    connection.execute(move, {"ra": ra, "id": row["observation_id"]})
    (moved, *_) = (
        one for one in selected(connection) if one["observation_id"] == row["observation_id"]
    )
    add_detection(connection, moved, *beside(moved, 20 if ra > 180 else -20, 0.0))

    (one,) = neighbours_of(connection, moved)

    assert abs(one["east_arcsec"]) == pytest.approx(20, abs=0.1)


def test_reviewed_neighbours_have_the_code_of_their_label(sky: Any) -> None:
    with sky.engine.connect() as connection:
        rows = selected(connection)
    labels = {
        (row["ra_deg"], row["dec_deg"]): 255
        if row["tier"] == "ambiguous"
        else (1 if row["is_anomaly"] else 2)
        for row in rows
    }
    codes = []
    for row in rows:
        for one in row["neighbours"] or ():
            ra, dec = beside(row, one["east_arcsec"], one["north_arcsec"])
            known = [
                code
                for (a, b), code in labels.items()
                if abs(a - ra) < 1e-7 and abs(b - dec) < 1e-7
            ]
            codes += [(one["code"], *known)]

    pairs = {pair for pair in codes if len(pair) == 2}
    assert pairs <= {(1, 1), (2, 2), (255, 255)}
    assert {(1, 1), (2, 2)} <= pairs
    assert (255,) in codes  # nobody reviewed it


def test_a_label_that_is_not_sure_enough_counts_as_none(sky: Any) -> None:
    strict = PARAMS.model_copy(update={"confidence_threshold": 0.9})
    with sky.engine.connect() as connection:
        usual, doubtful = (
            sum(
                one["code"] != 255
                for row in selected(connection, p)
                for one in row["neighbours"] or ()
            )
            for p in (PARAMS, strict)
        )

    assert 0 < doubtful < usual


def test_rows_that_left_have_no_neighbours_and_an_empty_selection_stays_empty(sky: Any) -> None:
    with sky.engine.connect() as connection:
        rows = select_subjects(connection, PARAMS, datetime.now(UTC))
        nothing = add_neighbours(connection, rows.slice(0, 0), PARAMS, datetime.now(UTC))

    assert nothing.num_rows == 0
    for row in rows.to_pylist():
        assert (row["neighbours"] is None) == (row["reason"] is not None)


def measured(**fields: Any) -> Row:
    axes = dict(
        zip(("px_x_east", "px_y_east", "px_x_north", "px_y_north"), (None,) * 4, strict=True)
    )
    return {"x": 36.0, "y": 36.5, "source_kind": "raw", **axes, **fields}


def other(**fields: Any) -> Row:
    usual = {"east_arcsec": 10.0, "north_arcsec": 4.0, "dx_px": -7, "dy_px": 3, "code": 2}
    return usual | fields


def test_a_neighbour_lies_where_the_wcs_says_however_the_frame_is_turned() -> None:
    turned = measured(px_x_east=0.0, px_y_east=2.0, px_x_north=-0.5, px_y_north=0.0)

    near = place_neighbours([[], [other()]], [measured(), turned])

    assert near.stamp.tolist() == [1]
    assert (near.x[0], near.y[0]) == pytest.approx((36 - 2, 36.5 + 20))
    assert near.codes.tolist() == [2]


def test_without_a_wcs_stored_pixels_tell_on_a_frame_and_nothing_on_a_stamp() -> None:
    frame, stamp = measured(), measured(source_kind="stamp")

    near = place_neighbours(
        [[other()], [other()], [other(dx_px=None)], None], [frame, stamp, frame, frame]
    )

    assert near.stamp.tolist() == [0]
    assert (near.x[0], near.y[0]) == (29, 39.5)


def test_masks_show_the_real_neighbours(sky: Any, collect: Any) -> None:
    from astrid_training.catalogue import get_dataset
    from astrid_training.packs import read_table

    record = get_dataset(sky.engine, collect().dataset_id)
    samples: pa.Table = read_table(sky.store, "samples", record.samples_key[8:-8])

    seen = 0
    with sky.engine.connect() as connection:
        near = {row["sample_key"]: row["neighbours"] for row in selected(connection)}
    for row in samples.to_pylist():
        placed = place_neighbours([near[row["sample_key"]]], [row])
        mask = sky.packs.open("masks", row["mask_pack"])[row["mask_row"]]
        flags = sky.packs.open("flags", row["flag_pack"])[row["image_row"]]
        for x, y, code in zip(placed.x, placed.y, placed.codes, strict=True):
            column, line = round(float(x)), round(float(y))
            inside = 0 <= column < 72 and 0 <= line < 72
            if code == 1 and inside and not flags[line, column]:
                assert mask[line, column] in (1, 255)  # 255 beside a saturated pixel
                seen += mask[line, column] == 1
    assert seen > 5
