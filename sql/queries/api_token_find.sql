-- The token of a hash. Uses uq_training_api_tokens_hash.
SELECT name, token_hash, scopes, created_at, created_by, expires_at, revoked_at, last_used_at
FROM training_api_tokens
WHERE token_hash = :token_hash
