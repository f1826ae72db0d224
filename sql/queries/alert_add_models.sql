-- Idempotent: ids are made from names. Primary key of models.
INSERT INTO models (id, name, version, model_type, is_active, created_at, updated_at)
SELECT id, name, version, model_type, is_active, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS models), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
