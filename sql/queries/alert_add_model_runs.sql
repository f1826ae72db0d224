-- Idempotent: ids are made from names. Primary key of model_runs.
INSERT INTO model_runs (id, model_id, observation_id, status, created_at, updated_at)
SELECT id, model_id, observation_id, status, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS model_runs), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
