-- A token counts no more; the first time stays. Uses the primary key.
WITH before AS (SELECT revoked_at FROM training_api_tokens WHERE name = :name FOR UPDATE)
UPDATE training_api_tokens AS token SET revoked_at = COALESCE(token.revoked_at, clock_timestamp())
FROM before
WHERE token.name = :name
RETURNING token.revoked_at, before.revoked_at IS NULL AS is_new
