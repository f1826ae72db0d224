-- Idempotent: ids are made from names. Primary key of surveys.
INSERT INTO surveys (id, name, description, is_active, created_at, updated_at)
SELECT id, name, description, is_active, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS surveys), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
