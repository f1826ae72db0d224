-- Idempotent: ids are made from names. Primary key of detections.
INSERT INTO detections (id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, prediction_metadata, status, is_validated, created_at, updated_at)
SELECT id, model_run_id, observation_id, ra, dec, pixel_x, pixel_y, confidence_score, detection_type, model_version, prediction_metadata, status, is_validated, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS detections), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
