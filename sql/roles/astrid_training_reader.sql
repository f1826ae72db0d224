-- The role that loads datasets: it reads our tables and nothing of AstrID's.
-- Run this in AstrID's database as the role that migrated, and again after each later migration:
--     psql "$OWNER_URL" -f sql/roles/astrid_training_reader.sql
-- Each statement can be repeated. The role has no password yet: \password astrid_training_reader gives it one.

DO $$
DECLARE
    ours record;
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
        SELECT oid::regclass AS name, relowner::regrole AS owner, pg_has_role(relowner, 'USAGE') AS is_mine FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'training\_%'
        ORDER BY relname
    LOOP
        IF ours.is_mine THEN
            EXECUTE format('GRANT SELECT ON %s TO astrid_training_reader', ours.name);
        ELSE
            RAISE WARNING '% belongs to %: run this file as that role too', ours.name, ours.owner;
        END IF;
    END LOOP;
END
$$;
