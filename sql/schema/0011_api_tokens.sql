-- Who may ask by REST, and for what; of a token only its hash is kept.
CREATE TABLE training_api_tokens (
    name varchar(100) PRIMARY KEY,
    token_hash char(64) NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by varchar(255) NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
