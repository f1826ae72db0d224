from pathlib import Path
from typing import Any

import pytest

from astrid_training.alerts.packets import alert_files, read_packets

FIRST = 2475433850015015000


def ids(path: Path) -> list[int]:
    return [int(packet.record["candid"]) for packet in read_packets(path) if not packet.refused]


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_of_every_codec_is_read(made: Any, tmp_path: Path, codec: str) -> None:
    records = [made.ztf_record(candid=FIRST + n) for n in range(3)]

    assert ids(made.write_avro(tmp_path / "a.avro", *records, codec=codec)) == [
        FIRST,
        FIRST + 1,
        FIRST + 2,
    ]


def test_parquet_keeps_every_digit(made: Any, tmp_path: Path) -> None:
    path = made.write_parquet(tmp_path / "a.parquet", made.ztf_record(candid=FIRST + 1))

    assert ids(path) == [FIRST + 1]


def test_a_lost_sync_marker_costs_what_follows_it_only(made: Any, tmp_path: Path) -> None:
    records = [made.ztf_record(candid=FIRST + n) for n in range(3)]
    path = made.write_avro(tmp_path / "a.avro", *records)
    data = path.read_bytes()
    marker = data[-16:]
    blocks = data.split(marker)
    path.write_bytes(marker.join(blocks[:3]) + b"x" * 16 + marker.join(blocks[3:]))

    packets = list(read_packets(path))

    assert [packet.refused is None for packet in packets] == [True, True, False]
    assert packets[-1].refused is not None
    assert packets[-1].refused.reason == "damaged_file"
    assert packets[-1].source.endswith("a.avro#2")


@pytest.mark.parametrize("name", ["a.avro", "a.parquet"])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.98])
def test_a_file_cut_short_is_named_and_ends(
    made: Any, tmp_path: Path, name: str, kept: float
) -> None:
    write = made.write_avro if name.endswith("avro") else made.write_parquet
    path = write(tmp_path / name, made.ztf_record())
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if 0 < kept < 1 else int(kept)])

    (packet,) = read_packets(path)

    assert packet.refused is not None
    assert packet.refused.reason == "damaged_file"


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.avro"])
def test_random_bytes_are_a_damaged_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 40)

    assert all(packet.refused for packet in read_packets(tmp_path / name))


def test_a_table_names_its_triplets_from_its_folder_or_the_one_above(
    made: Any, tmp_path: Path
) -> None:
    for place in ("ztf/stamps/a.fits", "ztf/b.fits"):
        made.write_triplet(tmp_path / place)
    rows = [{"candid": FIRST, "file": "ztf/stamps/a.fits"}, {"candid": FIRST, "file": "b.fits"}]
    table = made.write_csv(tmp_path / "ztf" / "alerts.csv", *rows)

    assert [packet.triplet for packet in read_packets(table)] == [
        tmp_path / "ztf/stamps/a.fits",
        tmp_path / "ztf/b.fits",
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.fits", "no_file"),
        ("../../secret.fits", "bad_path"),
        ("link.fits", "bad_path"),
        ("x" * 300, "bad_path"),
        ("a\0b", "bad_path"),
    ],
)
def test_a_triplet_that_is_not_there_or_lies_elsewhere_is_refused(
    made: Any, tmp_path: Path, name: str, reason: str
) -> None:
    made.write_triplet(tmp_path / "secret.fits")
    folder = tmp_path / "data" / "ztf"
    folder.mkdir(parents=True)
    (folder / "link.fits").symlink_to(tmp_path / "secret.fits")
    table = made.write_csv(folder / "alerts.csv", {"candid": FIRST, "file": name})

    (packet,) = read_packets(table)

    assert packet.refused is not None
    assert packet.refused.reason == reason


def test_folders_are_searched_in_order_without_links_to_elsewhere(
    made: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    made.write_avro(outside / "o.avro", made.ztf_record())
    inside = tmp_path / "inside" / "deep"
    inside.mkdir(parents=True)
    for name in ("b.avro", "A.AVRO"):
        made.write_avro(inside / name, made.ztf_record())
    (inside / "notes.txt").write_text("no alerts")
    (inside / "link.avro").symlink_to(outside / "o.avro")
    (inside / "folder").symlink_to(outside)

    assert [path.name for path in alert_files([tmp_path / "inside"])] == ["A.AVRO", "b.avro"]


def test_a_file_that_is_named_but_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no alerts")

    (packet,) = read_packets(tmp_path / "a.txt")

    assert packet.refused is not None
    assert packet.refused.reason == "unknown_format"


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="correct the path"):
        alert_files([tmp_path / "nowhere"])
