-- Idempotent: simulated ids are made from names. Primary key of model_runs.
INSERT INTO model_runs (
    id, model_id, observation_id, input_image_path, inference_time_ms, total_predictions,
    high_confidence_predictions, started_at, completed_at, created_at, updated_at, status
) VALUES (
    :id, :model_id, :observation_id, :input_image_path, :inference_time_ms, :total_predictions,
    :high_confidence_predictions, :started_at, :completed_at, :created_at, :updated_at,
    'COMPLETED'
)
ON CONFLICT DO NOTHING
