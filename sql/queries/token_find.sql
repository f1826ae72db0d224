-- By the unique index on token_hash.
SELECT name, token_hash, scopes FROM training_api_tokens
WHERE token_hash = :token_hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
