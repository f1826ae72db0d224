-- Idempotent: ids are made from names. Primary key of difference_runs.
INSERT INTO difference_runs (id, observation_id, status, algorithm, candidates_found, retry_count, created_at, updated_at)
SELECT id, observation_id, status, algorithm, candidates_found, retry_count, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS difference_runs), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
