-- A new token; nothing comes back where the name is taken. Uses the primary key.
INSERT INTO training_api_tokens (name, token_hash, scopes, created_by, expires_at)
VALUES (:name, :token_hash, CAST(:scopes AS text[]), :created_by, :expires_at)
ON CONFLICT (name) DO NOTHING
RETURNING name
