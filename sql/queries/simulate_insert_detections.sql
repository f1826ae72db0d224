-- Idempotent: simulated ids are made from names. Primary key of detections.
INSERT INTO detections (
    id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type,
    model_version, inference_time_ms, status, is_validated, validation_confidence, human_label,
    created_at, updated_at
) VALUES (
    :id, :model_run_id, :observation_id, :ra, :dec, :pixel_x, :pixel_y, :confidence_score,
    :detection_type, :model_version, :inference_time_ms, :status, :is_validated,
    :validation_confidence, :human_label, :created_at, :updated_at
)
ON CONFLICT DO NOTHING
