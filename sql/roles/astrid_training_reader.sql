-- The role that loads datasets: it reads our tables, but for the API's tokens and who did what, and nothing of AstrID's.
-- Run this in AstrID's database as the role that migrated, and again after each later migration:
--     psql "$OWNER_URL" -f sql/roles/astrid_training_reader.sql
-- Each statement can be repeated. The role has no password yet: \password astrid_training_reader gives it one.

DO $$
DECLARE
    ours regclass;
    others text;
BEGIN
    IF to_regclass('training_migrations') IS NULL THEN
        RAISE EXCEPTION 'schema % has none of our tables yet', current_schema()
            USING HINT = 'run astrid-training migrate first';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'astrid_training_reader') THEN
        CREATE ROLE astrid_training_reader LOGIN;
    END IF;
    IF (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = current_schema()) THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO astrid_training_reader', current_schema());
    END IF;
    FOR ours IN
        SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'training\_%'
          AND pg_has_role(relowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM astrid_training_reader', ours);
        CONTINUE WHEN ours IN (to_regclass('training_api_tokens'), to_regclass('training_audit'));
        EXECUTE format('GRANT SELECT ON %s TO astrid_training_reader', ours);
    END LOOP;
    SELECT string_agg(DISTINCT relowner::regrole::text, ', ') INTO others FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'training\_%'
      AND NOT pg_has_role(relowner, 'USAGE');
    IF others IS NOT NULL THEN
        RAISE WARNING 'the tables of % are left out: run this file as that role too', others;
    END IF;
END
$$;
