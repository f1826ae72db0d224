-- A few rows of AstrID's own, with NULL in every column that may hold it.

INSERT INTO alembic_version VALUES ('682ada03d87e');
INSERT INTO system_config VALUES ('00000000-0000-4000-8000-000000000001', 'retention_days', '{"raw": 90}');
INSERT INTO surveys (id, name, is_active) VALUES ('10000000-0000-4000-8000-000000000001', 'skymap', true);
INSERT INTO models (id, name, version, model_type, is_active)
VALUES ('20000000-0000-4000-8000-000000000001', 'unet', '1.4', 'UNET', true);

INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, status)
VALUES
    ('30000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'S-1', 10, -5,
     '2025-03-01 02:00+00', 'r', 30, 'https://archive.example/s1.fits', 'differenced'),
    ('30000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', 'S-2', 11, -5,
     '2025-03-02 02:00+00', 'r', 30, '', 'ObservationStatus.INGESTED'),
    ('30000000-0000-4000-8000-000000000003', '10000000-0000-4000-8000-000000000001', 'S-3', 12, -5,
     '2025-03-03 02:00+00', 'r', 30, 'raw/s3.fits', 'FAILED');

INSERT INTO preprocess_runs (id, observation_id, status, calibration_applied, wcs_aligned, retry_count)
VALUES ('40000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'completed', true, true, 0);
INSERT INTO difference_runs (id, observation_id, status, algorithm, candidates_found, retry_count)
VALUES
    ('50000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'COMPLETED', 'zogy', 1, 0),
    ('50000000-0000-4000-8000-000000000002', '30000000-0000-4000-8000-000000000002', 'FAILED', 'zogy', 0, 3);
INSERT INTO candidates (id, difference_run_id, observation_id, ra, dec, pixel_x, pixel_y, is_saturated, is_blended, is_edge, status)
VALUES ('60000000-0000-4000-8000-000000000001', '50000000-0000-4000-8000-000000000001',
        '30000000-0000-4000-8000-000000000001', 10.01, -5.01, 12, 34, false, false, false, 'DETECTED');
INSERT INTO model_runs (id, model_id, status)
VALUES ('70000000-0000-4000-8000-000000000001', '20000000-0000-4000-8000-000000000001', 'COMPLETED');

INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version,
                        status, is_validated, human_label)
VALUES
    ('80000000-0000-4000-8000-000000000001', '70000000-0000-4000-8000-000000000001',
     '30000000-0000-4000-8000-000000000001', 10.01, -5.01, 12, 34, 0.9, 'SUPERNOVA', '1.4', 'VALIDATED', true, 'SN Ia?'),
    ('80000000-0000-4000-8000-000000000002', '70000000-0000-4000-8000-000000000001',
     '30000000-0000-4000-8000-000000000001', 10.02, -5.02, 56, 34, 0.8, 'VARIABLE', '1.4', 'REJECTED', false, NULL),
    ('80000000-0000-4000-8000-000000000003', '70000000-0000-4000-8000-000000000001',
     '30000000-0000-4000-8000-000000000002', 11.01, -5.01, 12, 34, 0, 'UNKNOWN', '1.4', 'PENDING', false, NULL);
INSERT INTO validation_events (id, detection_id, validator_id, is_valid)
VALUES ('90000000-0000-4000-8000-000000000001', '80000000-0000-4000-8000-000000000002', 'ada', false);
