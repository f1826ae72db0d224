-- A token counts no more; the first time stays. Uses the primary key.
UPDATE training_api_tokens SET revoked_at = COALESCE(revoked_at, clock_timestamp())
WHERE name = :name
RETURNING revoked_at
