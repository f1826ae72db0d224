-- The role that collects, trains and serves: it reads AstrID's tables and writes into ours, each as far as its work needs. It can make,
-- alter or drop nothing, and cannot change a row of AstrID's.
-- Run this in AstrID's database as the owner of AstrID's tables, once it is migrated, and again after each later migration:
--     psql "$OWNER_URL" -f sql/roles/astrid_training.sql
-- Each statement can be repeated. The role has no password yet: \password astrid_training gives it one.

DO $$
BEGIN
    IF to_regclass('training_migrations') IS NULL THEN
        RAISE EXCEPTION 'schema % has none of our tables yet', current_schema()
            USING HINT = 'run astrid-training migrate first';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'astrid_training') THEN
        CREATE ROLE astrid_training LOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO astrid_training', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM astrid_training', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO astrid_training', current_schema());
    IF has_schema_privilege('astrid_training', current_schema(), 'CREATE') THEN
        RAISE WARNING 'everybody may make tables in schema %, as PostgreSQL before 15 has it', current_schema()
            USING HINT = format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;
END
$$;

GRANT SELECT ON
    surveys, observations, preprocess_runs, difference_runs, candidates, models, model_runs, detections, validation_events
TO astrid_training;

-- Table by table; one that is not listed here is none of the role's. Of all rows only those of the catalogue of built stamps and
-- those of objects are ever deleted: they save time and are no record.
DO $$
DECLARE
    one record;
    unknown text;
BEGIN
    FOR one IN
        SELECT given.name, given.rights, to_regclass(given.name) AS id FROM (VALUES
            ('training_migrations', 'SELECT'),
            ('training_datasets', 'SELECT, INSERT, UPDATE (status, metrics, looked_at, mlflow_run_id)'),
            ('training_samples', 'SELECT, INSERT'),
            ('training_rejects', 'SELECT, INSERT'),
            ('training_runs', 'SELECT, INSERT, UPDATE'),
            ('training_run_steps', 'SELECT, INSERT, UPDATE'),
            ('training_split_ledger', 'SELECT, INSERT'),
            ('training_split_members', 'SELECT, INSERT'),
            ('training_image_catalogue', 'SELECT, INSERT, UPDATE, DELETE'),
            ('training_objects', 'SELECT, INSERT, UPDATE, DELETE'),
            ('training_quarantine', 'SELECT, INSERT, UPDATE'),
            ('training_validation_batches', 'SELECT, INSERT, UPDATE'),
            ('training_label_events', 'SELECT'),
            ('training_dataset_events', 'SELECT, INSERT (dataset_id, event, reason, by)'),
            ('training_freshness_breaches', 'SELECT, INSERT, UPDATE'),
            ('training_review_queues', 'SELECT, INSERT'),
            ('training_review_queue_items', 'SELECT, INSERT'),
            ('training_api_tokens', 'SELECT, INSERT, UPDATE (revoked_at, last_used_at)'),
            ('training_audit', 'SELECT, INSERT (action, subject, by, detail)')
        ) AS given (name, rights)
    LOOP
        CONTINUE WHEN one.id IS NULL
            OR NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = one.id);
        EXECUTE format('REVOKE ALL ON %s FROM astrid_training', one.id);
        EXECUTE format('GRANT %s ON %s TO astrid_training', one.rights, one.id);
    END LOOP;
    SELECT string_agg(relname, ', ' ORDER BY relname) INTO unknown FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'training\_%'
      AND NOT has_table_privilege('astrid_training', oid, 'SELECT');
    IF unknown IS NOT NULL THEN
        RAISE WARNING 'the role has no rights on %', unknown
            USING HINT = 'run the file of the version that made them, as their owner';
    END IF;
END
$$;
