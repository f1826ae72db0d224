-- Idempotent: ids are made from names. Primary key of validation_events.
INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, confidence_level, notes, tags, created_at, updated_at)
SELECT id, detection_id, validator_id, is_valid, label, confidence_level, notes, tags, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS validation_events), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
