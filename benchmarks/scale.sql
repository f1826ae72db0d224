-- Fields on the equator, each with a reference and a night's frame after the other, in each frame 49 detections, half of them real;
-- two people review each. {from} and {to} bound the exposures, so that more can be added later.
INSERT INTO surveys (id, name, is_active) VALUES (CAST(md5('survey') AS uuid), 'sim_ztf', true) ON CONFLICT DO NOTHING;
INSERT INTO models (id, name, version, model_type, is_active) VALUES (CAST(md5('model') AS uuid), 'u-net', '1', 'UNET', true) ON CONFLICT DO NOTHING;
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, airmass, seeing, status, fits_file_path)
SELECT CAST(md5('reference' || f) AS uuid), CAST(md5('survey') AS uuid), 'reference' || f, 2 * f + 1, 0, timestamptz '2023-06-01', 'ztf_r', 30, '', 1.01, 1.1, 2.0,
       'differenced', 'raw/reference' || f || '.fits'
FROM generate_series(0, {fields} - 1) AS f ON CONFLICT DO NOTHING;
CREATE TEMP TABLE exposures ON COMMIT DROP AS
SELECT n, CAST(md5('exposure' || n) AS uuid) AS id, n % {fields} AS field, timestamptz '2024-01-01' + (n / {fields}) * interval '1 day' + (n % {fields}) * interval '1 minute' AS at
FROM generate_series({from}, {to} - 1) AS n;
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, airmass, seeing, status, fits_file_path, created_at, updated_at)
SELECT id, CAST(md5('survey') AS uuid), 'exposure' || n, 2 * field + 1, 0, at, 'ztf_r', 30, '', 1.01, 1.1, 2.0, 'differenced', 'raw/' || n || '.science.fits', at, at FROM exposures;
INSERT INTO difference_runs (id, observation_id, reference_observation_id, status, algorithm, difference_image_path, candidates_found, completed_at, retry_count, created_at)
SELECT CAST(md5('difference' || n) AS uuid), id, CAST(md5('reference' || field) AS uuid), 'COMPLETED', 'zogy', 'raw/' || n || '.difference.fits', 49, at, 0, at FROM exposures;
INSERT INTO model_runs (id, model_id, observation_id, status)
SELECT CAST(md5('run' || n) AS uuid), CAST(md5('model') AS uuid), id, 'COMPLETED' FROM exposures;
CREATE TEMP TABLE found ON COMMIT DROP AS
SELECT CAST(md5('detection' || n || '/' || place) AS uuid) AS id, n, e.id AS observation_id, at, place, place % 2 = 0 AS is_real, field,
       36 + 73.3 * (place % 7) AS x, 36 + 73.3 * (place / 7) AS y
FROM exposures e, generate_series(0, 48) AS place;
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, status, is_validated, created_at, updated_at)
SELECT id, CAST(md5('run' || n) AS uuid), observation_id, 2 * field + 1 - (x - 255.5) * 1.01 / 3600, (y - 255.5) * 1.01 / 3600, round(x), round(y), 0.5, 'UNKNOWN', '1',
       CAST(CASE WHEN is_real THEN 'VALIDATED' ELSE 'REJECTED' END AS detection_status), true, at, at
FROM found;
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, confidence_level, created_at, updated_at)
SELECT CAST(md5('review' || id || '/' || vote) AS uuid), id, 'reviewer-' || (n + place * 5 + vote * 7) % 12, is_real,
       CASE WHEN is_real THEN (ARRAY['SN', 'RR Lyr', 'AGN'])[1 + (place / 2) % 3] ELSE (ARRAY['CR', 'dipole', 'hot pixel'])[1 + place % 3] END, 'EXPERT', at, at
FROM found, generate_series(0, 1) AS vote;
