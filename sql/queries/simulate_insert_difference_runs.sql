-- Idempotent: simulated ids are made from names. Primary key of difference_runs.
INSERT INTO difference_runs (
    id, observation_id, reference_observation_id, algorithm, parameters, difference_image_path,
    noise_level, detection_threshold, candidates_found, processing_time_seconds, started_at,
    completed_at, created_at, updated_at, status, retry_count
) VALUES (
    :id, :observation_id, :reference_observation_id, :algorithm, :parameters,
    :difference_image_path, :noise_level, :detection_threshold, :candidates_found,
    :processing_time_seconds, :started_at, :completed_at, :created_at, :updated_at, 'COMPLETED', 0
)
ON CONFLICT DO NOTHING
