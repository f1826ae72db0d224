from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from astrid_training.alerts import AlertRefusedError
from astrid_training.alerts.surveys import parse_alert

CANDID = "2475433850015015000"


def snake(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with the outer names as some brokers write them."""
    names = {"objectId": "object_id", "cutoutScience": "cutout_science"}
    return {names.get(name, name): value for name, value in record.items()}


def test_a_ztf_packet_is_an_alert(made: Any) -> None:
    alert = parse_alert(made.ztf_record())

    assert (alert.survey, alert.alert_id, alert.object_id) == ("ztf", CANDID, "ZTF18abcdefg")
    assert alert.exposure == "2460229.9338542_505_0_1"
    assert alert.observed == datetime(2023, 10, 12, 10, 24, 45, 3000, UTC)
    assert (alert.band, alert.difference_sign, alert.program_id) == ("ztf_g", 1, 1)
    assert (alert.score, alert.scored_by) == (0.789, "drb d6_m7")
    assert alert.snr == pytest.approx(10.857)
    assert set(alert.cutouts) == {"science", "reference", "difference"}
    assert "ssdistnr" not in alert.facts  # -999 is no distance


def test_pixels_of_ztf_are_counted_from_1(made: Any) -> None:
    assert parse_alert(made.ztf_record(xpos=1.0)).x == 0.0


def test_without_the_newer_score_the_older_one_counts(made: Any) -> None:
    alert = parse_alert(made.ztf_record(drb=None))

    assert (alert.score, alert.scored_by) == (0.61, "rb of unknown version")


@pytest.mark.parametrize("value", ["f", "0", 0, False])
def test_a_negative_difference_is_turned_round(made: Any, value: object) -> None:
    assert parse_alert(made.ztf_record(isdiffpos=value)).difference_sign == -1


def test_names_may_be_camel_or_snake_case_and_nested_or_flat(made: Any) -> None:
    record = made.ztf_record()
    flat = {**record.pop("candidate"), **record}

    assert (
        parse_alert(snake(made.ztf_record())) == parse_alert(made.ztf_record()) == parse_alert(flat)
    )


def test_cutouts_may_be_bare_bytes(made: Any) -> None:
    bare = made.ztf_record({"Science": b"bytes"})

    assert parse_alert(bare).cutouts["science"] == b"bytes"


def test_a_rubin_packet_is_an_alert(made: Any) -> None:
    alert = parse_alert(made.rubin_record())

    assert (alert.survey, alert.alert_id) == ("rubin", "169298435264512001")
    assert (alert.exposure, alert.band) == ("2025050100123_41", "lsst_r")
    # TAI is 37 s ahead of UTC; half of the exposure lies before its middle
    middle = datetime(2025, 5, 1, 6, 0, 0, tzinfo=UTC)
    assert abs(alert.observed - (middle - timedelta(seconds=37 + 15))) < timedelta(milliseconds=2)
    assert alert.seeing_arcsec == pytest.approx(2.3548 * 0.4, rel=1e-4)
    assert (alert.zero_point, alert.scored_by) == (31.4, "reliability v1")
    assert alert.facts["psfflux"] == -999.5


def test_an_older_rubin_packet_names_its_exposure_and_band_otherwise(made: Any) -> None:
    record = made.rubin_record(visit=None, detector=None, band=None)
    record["diaSource"] |= {"ccdVisitId": 123456, "filterName": "i"}

    alert = parse_alert(record)

    assert (alert.exposure, alert.band) == ("123456", "lsst_i")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"candid": 2.475433850015015e18}, "bad_identifier"),
        ({"jd": None}, "no_exposure"),
        ({"jd": 1e12}, "no_exposure"),
        ({"fid": 9}, "no_exposure"),
        ({"rcid": None}, "no_exposure"),
        ({"isdiffpos": None}, "no_difference_sign"),
        ({"ra": -999.0}, "no_position"),
        ({"dec": 91}, "no_position"),
    ],
)
def test_what_lacks_something_needed_is_refused_by_name(
    made: Any, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AlertRefusedError, match=reason):
        parse_alert(made.ztf_record(**values))


@pytest.mark.parametrize("record", [{}, {"objectId": "x"}, {"candidate": 3}, {"diaSource": None}])
def test_what_is_no_alert_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(AlertRefusedError, match="not_an_alert"):
        parse_alert(record)


def test_alerts_may_go_to_a_survey_of_another_name(made: Any) -> None:
    assert parse_alert(made.ztf_record(), "ztf_partnership").survey == "ztf_partnership"
