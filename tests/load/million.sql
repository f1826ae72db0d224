-- A million detections in 100,000 observations of one survey, 1,500,000 reviews, and what 200 datasets left. Triggers and foreign keys
-- sleep meanwhile, and the indexes of the two largest tables are made last: a third of the time.
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;
SET LOCAL maintenance_work_mem = '256MB';
DROP INDEX ix_detections_confidence_score, ix_detections_detection_type, ix_detections_observation_id, ix_detections_ra_dec,
    ix_detections_status, ix_validation_events_detection_id;
ALTER TABLE validation_events DROP CONSTRAINT validation_events_pkey;
INSERT INTO surveys (id, name, is_active) VALUES (CAST(md5('big') AS uuid), 'sim_big', true);
INSERT INTO models (id, name, version, model_type, is_active) VALUES (gen_random_uuid(), 'u-net', 'million', 'UNET', true);
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, airmass, seeing, status, fits_file_path)
SELECT CAST(md5('o' || n) AS uuid), s.id, 'o' || n, (n * 137.508) % 360, -30 + (n * 7.31) % 110,
       timestamptz '2024-01-01' + n * interval '5 minutes', (ARRAY['ztf_g', 'ztf_r'])[1 + n % 2], 30, '', 1.01, 1.2, 1.8, 'differenced', 'raw/' || n || '.fits'
FROM generate_series(1, 100000) AS n, surveys s;
INSERT INTO model_runs (id, model_id, observation_id, status) SELECT o.id, m.id, o.id, 'COMPLETED' FROM observations o, models m;
INSERT INTO preprocess_runs (id, observation_id, status, calibration_applied, wcs_aligned, processed_fits_path, completed_at, retry_count)
SELECT gen_random_uuid(), id, 'completed', true, true, fits_file_path, observation_time, 0 FROM observations;
INSERT INTO difference_runs (id, observation_id, reference_observation_id, status, algorithm, difference_image_path, candidates_found, completed_at, retry_count)
SELECT id, id, CAST(md5('o' || 1 + n % 500) AS uuid), 'COMPLETED', 'zogy', fits_file_path, 3, observation_time, 0
FROM (SELECT *, row_number() OVER () AS n FROM observations) o;
INSERT INTO candidates (id, difference_run_id, observation_id, ra, dec, pixel_x, pixel_y, fwhm, is_saturated, is_blended, is_edge, status, created_at)
SELECT gen_random_uuid(), id, id, ra, dec, 9, 9, 2, false, false, false, 'DETECTED', observation_time FROM observations, generate_series(1, 3);
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, status, is_validated, created_at, updated_at)
SELECT CAST(md5(id || '/' || subject) AS uuid), id, id, ra, dec + 0.01 * subject, 100, 100, 0.5, 'UNKNOWN', 1, 'VALIDATED', true, observation_time, observation_time
FROM observations, generate_series(0, 9) AS subject;
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, confidence_level, created_at, updated_at)
SELECT gen_random_uuid(), id, 'reviewer-' || (n * 5 + vote * 7) % 12, n % 3 > 0, CASE WHEN n % 3 > 0 THEN 'SN' ELSE 'junk' END,
       'HIGH', created_at + interval '1 day', created_at + interval '1 day'
FROM (SELECT id, created_at, row_number() OVER () AS n FROM detections) d, generate_series(0, 1) AS vote WHERE vote <= n % 2;
CREATE INDEX ix_detections_confidence_score ON detections (confidence_score);
CREATE INDEX ix_detections_detection_type ON detections (detection_type);
CREATE INDEX ix_detections_observation_id ON detections (observation_id);
CREATE INDEX ix_detections_ra_dec ON detections (ra, dec);
CREATE INDEX ix_detections_status ON detections (status);
ALTER TABLE validation_events ADD PRIMARY KEY (id);
CREATE INDEX ix_validation_events_detection_id ON validation_events (detection_id);
INSERT INTO training_label_events (operation, event_id, row) SELECT 'I', id, to_jsonb(v) FROM validation_events v LIMIT 100000;
INSERT INTO training_datasets (id, name, collection_params, total_samples, anomaly_ratio, quality_score, created_at, created_by, version_id, as_of, looked_at,
    format_version, preprocess_spec, spec_fingerprint, query_digest, source_digest, label_digest, content_digest, split_digest, splits, classes, funnel, quality_report, samples_key)
SELECT CAST(md5('d' || n) AS uuid), 'dataset ' || n, '{"survey_ids": ["sim_big"]}', 1000, 0.5, 0.5, at, 'load', md5(n::text)::char(16), at, at,
       1, '{}', digest, digest, digest, digest, digest, digest, '{"train": 1000}', '{"SN": 1000}', '[]',
       '{"survey_coverage": {"sim_big": 1000}}', 'samples/' || digest || '.parquet'
FROM (SELECT n, md5('x' || n) || md5('y' || n) AS digest, timestamptz '2024-12-12' + n * interval '1 minute' AS at FROM generate_series(1, 200) AS n) x;
INSERT INTO training_samples (dataset_id, image_path, mask_path, labels, sample_key, split, weight, group_key)
SELECT CAST(md5('d' || d) AS uuid), 'file:///store/images/' || pack || '.npy#' || n, 'file:///store/masks/' || pack || '.npy#' || n, '{"is_anomaly": true}', md5('s' || d % 10 || '/' || n), 'train', 1, 'g' || n
FROM generate_series(1, 200) AS d, generate_series(1, 1000) AS n, LATERAL (SELECT md5('p' || d % 10 || n / 250) || md5('q' || d % 10 || n / 250) AS pack) p;
INSERT INTO training_rejects (dataset_id, sample_key, step, reason)
SELECT CAST(md5('d' || d) AS uuid), md5('r' || d || '/' || n), 'fetch_validated_detections', 'no_label' FROM generate_series(1, 200) AS d, generate_series(1, 300) AS n;
INSERT INTO training_image_catalogue (sample_key, spec_fingerprint, input_digest, image_pack, flag_pack, significance_pack, measure_table, pack_row)
SELECT md5('s' || d || '/' || n), digest, digest, pack, pack, pack, pack, n
FROM generate_series(1, 100) AS d, generate_series(1, 1000) AS n, LATERAL (SELECT md5('p' || d || n / 250) || md5('q' || d || n / 250) AS pack) p,
     LATERAL (SELECT md5('f' || d % 3) || md5('g' || d % 3) AS digest) f;
INSERT INTO training_objects (key, wanted_at) SELECT DISTINCT 'images/' || image_pack || '.npy', timestamptz '2024-12-12' FROM training_image_catalogue;
INSERT INTO training_split_ledger (policy, group_key, split, first_dataset)
SELECT '{policy}', 'g' || n, 'train', CAST(md5('d1') AS uuid) FROM generate_series(1, 100000) AS n;
INSERT INTO training_split_members (policy, sample_key, group_key, ra_deg, dec_deg, radius_arcsec, half_arcsec, exposure, field)
SELECT '{policy}', md5('m' || n), 'g' || n, (n * 137.508) % 360, -30 + (n * 7.31) % 110, 1, 30, 'o' || n % 100000, 'f' || n % 500 FROM generate_series(1, 100000) AS n;
INSERT INTO training_run_steps (flow_run_id, step, wall_s, cpu_s, worker_cpu_s, fetched_bytes, written_bytes, samples_in, samples_out, rejects, runs, cached, retries)
SELECT CAST(md5('run' || n) AS uuid), step, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0 FROM generate_series(1, 2000) AS n, unnest(ARRAY['whole', 'preprocess', 'persist_dataset']) AS step;
