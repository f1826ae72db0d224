-- Idempotent: simulated ids are made from names. Primary key of preprocess_runs.
INSERT INTO preprocess_runs (
    id, observation_id, registration_quality, processed_fits_path, processing_time_seconds,
    started_at, completed_at, created_at, updated_at, status, calibration_applied, wcs_aligned,
    retry_count
) VALUES (
    :id, :observation_id, :registration_quality, :processed_fits_path, :processing_time_seconds,
    :started_at, :completed_at, :created_at, :updated_at, 'COMPLETED', true, true, 0
)
ON CONFLICT DO NOTHING
