-- All of them; the table is small.
SELECT name, scopes, created_at, created_by, expires_at, revoked_at FROM training_api_tokens ORDER BY name
