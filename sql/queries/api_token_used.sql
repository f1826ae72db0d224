-- Notes that a token was used. Uses the primary key.
UPDATE training_api_tokens SET last_used_at = clock_timestamp() WHERE name = :name
