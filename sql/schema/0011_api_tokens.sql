-- Who may ask over REST, and for what.
CREATE TABLE training_api_tokens (
    name varchar(100) PRIMARY KEY,
    token_hash char(64) NOT NULL,  -- sha256 of the token, which is kept nowhere
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'collect']),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by varchar(255) NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE UNIQUE INDEX uq_training_api_tokens_hash ON training_api_tokens (token_hash);
