-- Who did what: rows are added and never changed. What happened to a dataset later stands in training_dataset_events beside it.
CREATE TABLE training_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action varchar(32) NOT NULL CHECK (action IN (
        'collected', 'derived', 'token created', 'token revoked', 'objects removed', 'stamps forgotten', 'restored', 'repaired'
    )),
    subject varchar(500) NOT NULL,  -- id of a dataset, name of a token, address of a store
    by varchar(255) NOT NULL,  -- as they said: a token's name, or the operating system's user
    role name NOT NULL DEFAULT session_user,  -- as PostgreSQL knows them
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ix_training_audit_subject ON training_audit (subject, id);

CREATE FUNCTION training_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'add a row that says what is right';
END
$$;

CREATE TRIGGER training_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON training_audit
    FOR EACH STATEMENT EXECUTE FUNCTION training_refuse_change();
CREATE TRIGGER training_dataset_events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON training_dataset_events
    FOR EACH STATEMENT EXECUTE FUNCTION training_refuse_change();

-- A third scope: to look into all this.
ALTER TABLE training_api_tokens
    DROP CONSTRAINT training_api_tokens_scopes_check,
    ADD CONSTRAINT training_api_tokens_scopes_check
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'collect', 'manage']);
