-- 500,000 detections by one model run in 100,000 observations of five surveys, and 1,000,000 reviews by 12 people: one of each detection a day after
-- it, another up to two years later. The datasets of four surveys looked at them up to a week before the end, at 97 of 100; the fifth has none.
INSERT INTO surveys (id, name, is_active) SELECT CAST(md5('survey' || n) AS uuid), 'sim_' || n, true FROM generate_series(0, 4) AS n;
INSERT INTO models (id, name, version, model_type, is_active) VALUES (gen_random_uuid(), 'u-net', '1', 'UNET', true);
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, airmass, seeing, status, fits_file_path)
SELECT CAST(md5('o' || n) AS uuid), CAST(md5('survey' || n % 5) AS uuid), 'o' || n, (n * 137.508) % 360, -30 + (n * 7.31) % 110,
       timestamptz '2024-01-01' + n * interval '10 minutes', (ARRAY['ztf_g', 'ztf_r'])[1 + n % 2], 30, '', 1.01, 1.2, 1.8, 'differenced', 'raw/' || n || '.fits'
FROM generate_series(1, 100000) AS n;
INSERT INTO model_runs (id, model_id, observation_id, status) SELECT gen_random_uuid(), m.id, o.id, 'COMPLETED' FROM observations o, models m;
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, status, is_validated, created_at, updated_at)
SELECT CAST(md5(o.observation_id || '/' || subject) AS uuid), r.id, o.id,
       o.ra, o.dec + 0.01 * subject, 100, 100, 0.5, 'UNKNOWN', 1, 'VALIDATED', true, o.observation_time, o.observation_time
FROM observations o JOIN model_runs r ON r.observation_id = o.id, generate_series(0, 4) AS subject ORDER BY o.observation_time;
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, confidence_level, created_at, updated_at)
SELECT CAST(md5(id || '/' || vote) AS uuid), id, 'reviewer-' || (n * 5 + vote * 7) % 12, n % 3 > 0, CASE WHEN n % 3 > 0 THEN 'SN' ELSE 'junk' END,
       CAST('HIGH' AS confidence_level), at, at
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, created_at + interval '1 day' AS first FROM detections) d, generate_series(0, 1) AS vote,
     LATERAL (SELECT first + vote * ((n * 7919) % 1000 / 1000.0) * (timestamptz '2025-12-01' - first) AS at) AS seen
ORDER BY at;
INSERT INTO training_datasets (name, collection_params, total_samples, anomaly_ratio, quality_score, created_by, version_id, as_of, samples_key)
SELECT 'd' || n, jsonb_build_object('survey_ids', jsonb_build_array('sim_' || n)), 1, 1, 1, '', lpad(CAST(n AS text), 16, '0'), timestamptz '2025-11-24', ''
FROM generate_series(0, 3) AS n;
ANALYZE;
