-- All tokens by name. The table is small: a row a client; no index.
SELECT name, scopes, created_at, created_by, expires_at, revoked_at, last_used_at
FROM training_api_tokens
ORDER BY name
