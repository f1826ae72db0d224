"""A simulated survey becomes a dataset: nothing lost, nothing doubled, nothing invented."""

import json
import platform
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sqlalchemy import text

from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.collection_steps import describe_dataset
from astrid_training.digests import digest_many
from astrid_training.errors import CollectionRefusedError, DatasetNotFoundError, GateFailedError
from astrid_training.fits import read_image
from astrid_training.params import NegativesRule, PreprocessSpec, TrainingDataCollectionParams
from astrid_training.plan import READING_VERSION
from astrid_training.processor import fingerprint
from astrid_training.publish import CollectionGateError
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.selection import select_subjects
from astrid_training.stamps import Flag
from astrid_training.workplace import Workplace

Collect = Callable[..., PublishedDataset]


def samples_of(sky: Any, published: PublishedDataset) -> pa.Table:
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    return read_samples(sky.store, record.samples_key)


def counts(sky: Any) -> dict[str, int]:
    tables = ("datasets", "samples", "rejects", "split_ledger", "split_members")
    with sky.engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM training_{name}")).scalar_one()
            for name in tables
        }


def test_the_funnel_adds_up(collect: Collect) -> None:
    published = collect()

    selected, *drops, kept = published.funnel
    assert (selected.reason, kept.reason) == ("selected", "kept")
    assert selected.count == kept.count + sum(row.count for row in drops)
    assert kept.count == published.total_samples == sum(published.splits.values())
    assert kept.count == sum(published.classes.values())
    assert published.total_samples > 50


def test_labels_are_the_peoples_and_not_the_models(sky: Any) -> None:
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"])
    with sky.engine.connect() as connection:
        table = select_subjects(connection, params, datetime.now(UTC))
    samples = table.filter(pc.is_null(table["reason"]))

    truth = {}
    for line in sky.truth.read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "detection":
            truth[entry["detection_id"]] = entry["is_real"]
    said = samples["is_anomaly"].to_numpy(zero_copy_only=False)
    is_real = np.array([truth[key] for key in samples["detection_id"].to_pylist()])
    score = samples["model_score"].to_numpy() >= 0.5
    assert (said == is_real).mean() > 0.9
    assert (said == is_real).mean() > (score == is_real).mean()
    assert 0.2 < said.mean() < 0.8  # rejections are in


def test_the_same_collection_again_adds_nothing(sky: Any, collect: Collect) -> None:
    first = collect()
    before = counts(sky)

    again = collect()

    assert again.reused
    assert (again.dataset_id, again.digests["content"]) == (
        first.dataset_id,
        first.digests["content"],
    )
    assert counts(sky) == before


def test_batches_and_homes_do_not_change_the_content(sky: Any, collect: Collect) -> None:
    first = collect()

    other = collect(batch_samples=16, name="other")

    assert other.version_id == first.version_id
    assert other.dataset_id != first.dataset_id


def test_a_new_review_makes_a_new_version_over_the_same_pixels(sky: Any, collect: Collect) -> None:
    first = collect(confidence_threshold=0.5)  # one review changes what all are worth
    samples = samples_of(sky, first)
    images = set(sky.store.keys("images"))
    real = samples.filter(samples["is_anomaly"]).slice(0, 1).to_pylist()[0]
    with sky.engine.begin() as connection:
        for n in range(3):
            connection.execute(
                text(
                    "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, "
                    "confidence_level) VALUES (gen_random_uuid(), :detection, :who, false, 'EXPERT')"
                ),
                {"detection": real["detection_id"], "who": f"new-{n}"},
            )

    second = collect(confidence_threshold=0.5)

    changed = {row["sample_key"]: row for row in samples_of(sky, second).to_pylist()}
    assert changed[real["sample_key"]]["is_anomaly"] is False
    assert second.version_id != first.version_id
    assert set(sky.store.keys("images")) == images
    manager = TrainingDatasetManager(sky.engine)
    assert manager.get_dataset(first.dataset_id).status == "superseded"
    assert str(manager.get_dataset(second.dataset_id).parent_id) == first.dataset_id
    old = {row["sample_key"]: row["split"] for row in samples.to_pylist()}
    assert all(changed[key]["split"] == split for key, split in old.items() if key in changed)
    check_described_beside_parent(sky, first, second)


def check_described_beside_parent(
    sky: Any, first: PublishedDataset, second: PublishedDataset
) -> None:
    """See that differences from the parent are told, and that one that cannot be read stops nothing."""
    url = sky.engine.url.render_as_string(hide_password=False)
    place = Workplace(sky.store.url, sky.home / "cache", database_url=url)

    def differences(folder: str) -> dict[str, int]:
        told = describe_dataset(place, second.dataset_id, sky.home / folder)
        return dict(told.differences)

    told = differences("described")
    assert told["shared"] + told["removed"] == first.total_samples
    assert told["shared"] + told["added"] == second.total_samples
    assert told["relabelled"] >= 1
    sky.store.delete(get_dataset(sky.engine, first.dataset_id).samples_key)
    assert differences("without") == {}


def test_as_of_looks_back(sky: Any, collect: Collect) -> None:
    now = collect()
    with sky.engine.connect() as connection:
        middle = connection.execute(
            text(
                "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at) "
                "FROM validation_events"
            )
        ).scalar_one()

    then = collect(as_of=middle, name="then")

    assert then.funnel[0].count < now.funnel[0].count


def test_what_was_reviewed_later_is_no_label_yet(sky: Any, collect: Collect) -> None:
    with sky.engine.begin() as connection:
        early = connection.execute(
            text(
                "SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY created_at) "
                "FROM validation_events"
            )
        ).scalar_one()
        params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], as_of=early)
        before = select_subjects(connection, params, early)
        # AstrID sets the status from the latest review, whenever that was
        connection.execute(
            text("DELETE FROM validation_events WHERE created_at > :at"), {"at": early}
        )
        connection.execute(
            text("UPDATE detections SET status = 'PENDING' WHERE updated_at > :at"), {"at": early}
        )
        as_it_was = select_subjects(connection, params, early)

    assert before["sample_key"].to_pylist() == as_it_was["sample_key"].to_pylist()
    assert before["p_real"].equals(as_it_was["p_real"])
    times = [vote["at"] for votes in before["votes"].to_pylist() for vote in json.loads(votes)]
    assert max(datetime.fromisoformat(at) for at in times) <= early


def test_rows_that_changed_since_are_counted_or_dropped(sky: Any, collect: Collect) -> None:
    with sky.engine.connect() as connection:
        middle = connection.execute(
            text("SELECT percentile_disc(0.7) WITHIN GROUP (ORDER BY updated_at) FROM detections")
        ).scalar_one()

        def reasons(*, strict: bool) -> Counter[str | None]:
            params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], strict_as_of=strict)
            table = select_subjects(connection, params, middle)
            assert pc.sum(table["mutated_after_as_of"]).as_py() > 0
            return Counter(table["reason"].to_pylist())

        assert reasons(strict=False)["mutated_after_as_of"] == 0
        assert reasons(strict=True)["mutated_after_as_of"] > 0


def test_every_vote_is_kept_with_its_state_and_unknown_words_are_counted(
    sky: Any, collect: Collect
) -> None:
    published = collect()
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)

    notes = record.quality_report["reviews"]
    with sky.engine.connect() as connection:
        events = connection.execute(text("SELECT count(*) FROM validation_events")).scalar_one()
    assert set(notes["votes"]) >= {"counts", "superseded"}
    assert sum(notes["votes"].values()) >= events  # and a vote for each status without an event
    assert sum(notes["unmapped_words"].values()) == notes["votes"].get("unmapped_label", 0)
    sample = TrainingDatasetManager(sky.engine).samples(record)[0]
    assert sample.labels["subject"] == sample.sample_key
    assert sample.labels["votes"]


def test_what_was_taken_for_usual_and_what_was_let_through_is_stored(
    sky: Any, collect: Collect
) -> None:
    published = collect(max_samples=12)
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    samples = read_samples(sky.store, record.samples_key)

    report = record.quality_report
    bands = set(samples["band"].to_pylist())
    assert set(report["references"]["sim_ztf"]) == bands
    assert report["observing"]["valid_fraction"]["known"] == samples.num_rows
    assert set(report["overrides"]) <= {"allow_one_class", "allow_sparse_splits"}
    assert report["overrides"]
    assert all(record.collection_params[name] for name in report["overrides"])
    said = report["human_image_quality"]
    assert 0 < said["n"] <= samples.num_rows
    assert report["consistency"]["n_multi"] > 20
    assert report["consistency"]["alpha"] > 0.2


def test_a_moved_detection_is_cut_anew(sky: Any, collect: Collect) -> None:
    first = collect()
    with sky.engine.begin() as connection:
        connection.execute(text("UPDATE detections SET dec = dec + 5.0 / 3600"))

    moved = collect()

    assert moved.digests["content"] != first.digests["content"]
    with sky.engine.begin() as connection:
        connection.execute(text("TRUNCATE training_image_catalogue"))
    assert collect(name="rebuilt").digests["content"] == moved.digests["content"]


def test_a_newer_difference_run_without_an_image_hides_nothing(sky: Any, collect: Collect) -> None:
    first = collect()
    with sky.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO difference_runs (id, observation_id, status, algorithm, "
                "candidates_found, completed_at, retry_count) SELECT gen_random_uuid(), "
                "observation_id, 'COMPLETED', 'zogy', 0, now(), 0 FROM difference_runs"
            )
        )

    assert collect().reused
    assert first.total_samples > 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("https://archive.example/x.fits", "host_not_allowed"),
        ("https://me:planted@archive.example/x.fits", "unusable_path"),
        ("../../x", "unusable_path"),
        pytest.param("gs://b/k", "unusable_path", marks=pytest.mark.slow),
        pytest.param("a//b", "unusable_path", marks=pytest.mark.slow),
    ],
)
def test_a_path_that_leads_nowhere_costs_its_own_samples(
    sky: Any, collect: Collect, path: str, reason: str
) -> None:
    with sky.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE observations SET fits_file_path = NULL, fits_url = :path WHERE id = "
                "(SELECT observation_id FROM difference_runs ORDER BY observation_id LIMIT 1)"
            ),
            {"path": path},
        )

    published = collect(source_policy="raw")

    assert any(row.reason == reason for row in published.funnel)
    with sky.engine.connect() as connection:
        details = connection.execute(text("SELECT detail FROM training_rejects")).scalars().all()
    assert "planted" not in str(details)
    assert published.total_samples > 0


@pytest.mark.parametrize(
    ("policy", "science", "reference"),
    [
        ("prefer_processed", "processed", "raw"),  # the simulator preprocesses no reference
        ("processed", "processed", None),
        ("raw", "raw", "raw"),
    ],
)
def test_the_image_that_inference_saw_is_cut(
    sky: Any, collect: Collect, policy: str, science: str, reference: str | None
) -> None:
    with sky.engine.begin() as connection:
        connection.execute(
            text("UPDATE preprocess_runs SET status = 'PreprocessRunStatus.COMPLETED'")
        )
        connection.execute(
            text(
                "INSERT INTO preprocess_runs (id, observation_id, status, calibration_applied, "
                "wcs_aligned, retry_count, processed_fits_path) SELECT gen_random_uuid(), "
                "observation_id, 'failed', true, true, 0, 'nowhere' FROM preprocess_runs"
            )
        )

    samples = samples_of(sky, collect(source_policy=policy))

    assert set(samples["science_kind"].to_pylist()) == {science}
    assert set(samples["reference_kind"].to_pylist()) == {reference}


def test_an_observation_that_no_run_processed_leaves_where_only_processed_images_are_wanted(
    sky: Any, collect: Collect
) -> None:
    with sky.engine.begin() as connection:
        connection.execute(
            text(
                "DELETE FROM preprocess_runs WHERE observation_id = (SELECT observation_id FROM "
                "difference_runs ORDER BY observation_id LIMIT 1)"
            )
        )

    published = collect(source_policy="processed")

    assert any(row.reason == "no_processed" for row in published.funnel)


def test_an_absurd_seeing_joins_nothing(sky: Any, collect: Collect) -> None:
    with sky.engine.begin() as connection:
        connection.execute(text("UPDATE observations SET seeing = 900"))

    samples = samples_of(sky, collect())

    assert pc.max(samples["fwhm_arcsec"]).as_py() < 10


def test_no_object_of_the_sky_is_in_two_splits(sky: Any, collect: Collect) -> None:
    samples = samples_of(sky, collect())
    splits: dict[str, set[str]] = {}
    for row in samples.to_pylist():
        splits.setdefault(row["group_key"], set()).add(row["split"])

    assert all(len(names) == 1 for names in splits.values())
    assert len(splits) < samples.num_rows  # several epochs of one object share a group


def test_with_the_identity_spec_a_stamp_is_the_files_pixels(sky: Any, collect: Collect) -> None:
    spec = PreprocessSpec.identity()
    samples = samples_of(sky, collect(preprocess=spec))

    half = spec.padded_size // 2
    for row in samples.slice(0, 12).to_pylist():
        stamp = sky.packs.open("images", row["image_pack"])[row["image_row"]]
        flags = sky.packs.open("flags", row["flag_pack"])[row["image_row"]]
        for channel, role in ((0, "science"), (2, "difference")):
            frame, _ = read_image(sky.home / "store" / row[f"{role}_path"], 0)
            # the frame's pixel under the stamp's centre pixel
            x = round(row["frame_x"] - row["x"]) + half
            y = round(row["frame_y"] - row["y"]) + half
            good = (flags & (Flag.MISSING | Flag.PADDED | Flag.OTHER_MISSING)) == 0
            rows, columns = np.nonzero(good)
            expected = frame[rows + y - half, columns + x - half]
            np.testing.assert_array_equal(stamp[channel][good], expected)


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the digest was taken on x86-64; others may round apart"
)
def test_pixels_change_only_with_their_version(sky: Any, collect: Collect) -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden" / "small_sky.json").read_text())
    spec = PreprocessSpec()

    samples = samples_of(sky, collect(preprocess=spec))

    found = {
        "reading_version": READING_VERSION,
        "spec_fingerprint": fingerprint(spec),
        "samples": samples.num_rows,
        "pixels": digest_many(samples["image_digest"].to_pylist()),
    }
    # Where only pixels or samples differ, raise READING_VERSION or a number in ALGORITHMS too:
    # without that, stamps that were built before would be mixed with new ones.
    assert found == golden


def test_paths_in_the_database_lead_to_the_pixels(sky: Any, collect: Collect) -> None:
    published = collect()
    manager = TrainingDatasetManager(sky.engine)
    rows = manager.samples(manager.get_dataset(published.dataset_id))

    assert len(rows) == published.total_samples
    for row in rows:
        path, _, index = row.image_path.removeprefix(f"{sky.store.url}/").partition("#")
        assert sky.store.head(path) is not None
        assert int(index) >= 0


@pytest.mark.parametrize(
    ("role", "damage", "reason"),
    [
        ("difference", lambda path: path.unlink(), "missing_object"),
        ("science", lambda path: path.write_bytes(path.read_bytes()[:50_000]), "truncated"),
        ("reference", lambda path: path.write_bytes(b"<html>not found</html>"), None),
        ("difference", lambda path: path.write_bytes(b""), None),
    ],
)
def test_a_bad_file_costs_its_own_samples_and_says_why(
    sky: Any, collect: Collect, role: str, damage: Callable[[Any], object], reason: str | None
) -> None:
    whole = samples_of(sky, collect())
    path = whole[f"{role}_path"][0].as_py()
    hit = sum(row == path for row in whole[f"{role}_path"].to_pylist())
    damage(sky.home / "store" / path)

    rest = collect(name="rest")

    assert rest.total_samples == whole.num_rows - hit
    with sky.engine.connect() as connection:
        found = connection.execute(
            text("SELECT reason, detail FROM training_rejects WHERE detail LIKE :path"),
            {"path": f"%{path}%"},
        ).all()
        quarantined = connection.execute(text("SELECT uri FROM training_quarantine")).scalars()
        assert set(quarantined) == (set() if reason == "missing_object" else {path})
    assert len(found) >= hit
    assert reason in {None, *(row.reason for row in found)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"survey_ids": None}, "no survey is active; name some in survey_ids"),
        ({"survey_ids": ["hubble"]}, "no survey named hubble; the surveys table has sim_ztf"),
        ({"anomaly_types": ["blob"]}, "no anomaly type named blob; use some of agn"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(
    collect: Collect, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(CollectionRefusedError, match=message):
        collect(**fields)


@pytest.mark.parametrize(
    ("fields", "gate"),
    [
        ({"anomaly_types": ["agn"], "allow_one_class": False}, "rejected detections"),
        ({"quality_score_threshold": 1.0}, "quality score"),
        ({"max_samples": 1, "allow_sparse_splits": False}, "no sample in"),
        ({"bands": ["none"]}, "no sample in train, val, test: people reviewed nothing"),
    ],
)
def test_a_failed_gate_leaves_nothing_behind(
    sky: Any, collect: Collect, fields: dict[str, Any], gate: str
) -> None:
    with pytest.raises(CollectionGateError, match=gate) as caught:
        collect(**fields)

    assert isinstance(caught.value, GateFailedError)
    assert caught.value.report.issues
    assert set(counts(sky).values()) == {0}


def test_anomaly_types_select_among_reals_only(sky: Any, collect: Collect) -> None:
    def bogus(wanted: list[str] | None) -> list[str]:
        params = TrainingDataCollectionParams(
            survey_ids=["sim_ztf"],
            anomaly_types=wanted,
            negatives=NegativesRule(bogus_per_real=None),
        )
        with sky.engine.connect() as connection:
            table = select_subjects(connection, params, datetime.now(UTC))
        kept = table.filter(pc.and_(pc.is_null(table["reason"]), pc.invert(table["is_anomaly"])))
        keys: list[str] = kept["sample_key"].to_pylist()
        return keys

    assert set(collect(anomaly_types=["supernova"]).classes) == {"bogus", "supernova"}
    assert bogus(["supernova"]) == bogus(None)


def test_fewer_samples_are_spread_evenly_and_are_among_the_more(sky: Any) -> None:
    def kept(max_samples: int) -> pa.Table:
        params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], max_samples=max_samples)
        with sky.engine.connect() as connection:
            table = select_subjects(connection, params, datetime.now(UTC))
        beyond = pc.equal(table["reason"], "beyond_max_samples")
        assert pc.sum(beyond).as_py() > 0
        return table.filter(pc.is_null(table["reason"]))

    few, more = kept(20), kept(60)

    assert (few.num_rows, more.num_rows) == (20, 60)
    assert set(few["sample_key"].to_pylist()) <= set(more["sample_key"].to_pylist())
    real = Counter(
        name if is_anomaly else "bogus"
        for name, is_anomaly in zip(
            few["anomaly_type"].to_pylist(), few["is_anomaly"].to_pylist(), strict=True
        )
    )
    assert max(real.values()) - min(real.values()) <= 1 or min(real.values()) < 4


def test_a_dataset_is_found_by_id_version_and_name(sky: Any, collect: Collect) -> None:
    published = collect(name="found")
    manager = TrainingDatasetManager(sky.engine)

    for wanted in (published.dataset_id, published.version_id, "found"):
        assert str(manager.get_dataset(wanted).id) == published.dataset_id
    with pytest.raises(DatasetNotFoundError, match="astrid-training datasets"):
        manager.get_dataset("nothing")
    assert [one.name for one in manager.list_datasets({"name": "found"})] == ["found"]
    manager.update_dataset_metrics(published.dataset_id, {"note": "seen"})
    assert manager.get_dataset("found").metrics == {"note": "seen"}


def test_without_a_difference_image_a_mask_says_so_where_that_is_allowed(
    sky: Any, collect: Collect
) -> None:
    with sky.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE difference_runs SET status = 'FAILED' WHERE observation_id = "
                "(SELECT observation_id FROM detections ORDER BY id LIMIT 1)"
            )
        )

    strict, lenient = collect(name="strict"), collect(name="lenient", allow_science_masks=True)

    flags = [
        Counter(row["mask_flags"] for row in samples_of(sky, one).to_pylist())
        for one in (strict, lenient)
    ]
    assert flags[0]["science_mask"] == 0
    assert flags[1]["science_mask"] > 0
    for row in samples_of(sky, lenient).to_pylist():
        if row["mask_flags"] == "science_mask":
            mask = sky.packs.open("masks", row["mask_pack"])[row["mask_row"]]
            x, y = round(row["x"]), round(row["y"])
            assert mask[y, x] in (1, 2)
            assert mask[y, x + round(1.8 * row["fwhm_px"])] == 255
