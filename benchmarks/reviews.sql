-- 100,000 detections of 50,000 subjects by two model runs in 25,000 observations, 200,000 reviews by 12 people, a third of them of another mind.
INSERT INTO surveys (id, name, is_active) VALUES (gen_random_uuid(), 'sim_ztf', true);
INSERT INTO models (id, name, version, model_type, is_active) VALUES (gen_random_uuid(), 'u-net', '1', 'UNET', true);
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, airmass, seeing, status, fits_file_path)
SELECT CAST(md5('o' || n) AS uuid), s.id, 'o' || n, (n * 137.508) % 360, -30 + (n * 7.31) % 110,
       timestamptz '2024-01-01' + n * interval '10 minutes', (ARRAY['ztf_g', 'ztf_r'])[1 + n % 2], 30, '', 1.01, 1.0 + (n % 100) / 100.0, 1.5 + (n % 30) / 20.0, 'differenced',
       'raw/' || n || '.fits'
FROM generate_series(1, 25000) AS n, surveys s;
INSERT INTO difference_runs (id, observation_id, reference_observation_id, status, algorithm, difference_image_path, candidates_found, completed_at, retry_count, created_at)
SELECT gen_random_uuid(), id, NULL, 'COMPLETED', 'zogy', 'difference/' || observation_id || '.fits', 2, observation_time, 0, observation_time FROM observations;
INSERT INTO model_runs (id, model_id, observation_id, status) SELECT gen_random_uuid(), m.id, o.id, 'COMPLETED' FROM observations o, models m;
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, status, is_validated, created_at, updated_at)
SELECT CAST(md5(o.observation_id || '/' || subject || '/' || run) AS uuid), r.id, o.id,
       o.ra, o.dec + 0.01 * subject + 0.00005 * run, 100, 100, 0.5, 'UNKNOWN', run, 'VALIDATED', true, o.observation_time, o.observation_time
FROM observations o JOIN model_runs r ON r.observation_id = o.id, generate_series(0, 1) AS subject, generate_series(0, 1) AS run;
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, confidence_level, created_at, updated_at)
SELECT CAST(md5('review ' || n || '/' || vote) AS uuid), id, 'reviewer-' || (n * 5 + vote * 7) % 12, (n / 2 + CASE WHEN (n * 31 + vote * 17) % 7 = 0 THEN 1 ELSE 0 END) % 2 = 0,
       CASE WHEN (n / 2 + CASE WHEN (n * 31 + vote * 17) % 7 = 0 THEN 1 ELSE 0 END) % 2 = 0 THEN (ARRAY['SN', 'RR Lyr', 'rock'])[1 + n % 3] ELSE (ARRAY['junk', 'CR', 'dipole', NULL])[1 + n % 4] END,
       CAST((ARRAY['LOW', 'MEDIUM', 'HIGH', 'EXPERT', NULL])[1 + (n + vote) % 5] AS confidence_level), created_at + interval '1 day', created_at + interval '1 day'
FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) AS n FROM detections) d, generate_series(0, 1) AS vote;
ANALYZE;
