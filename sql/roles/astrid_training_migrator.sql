-- The role that makes our tables where AstrID has no training tables of its own: nothing of AstrID's can be read or changed by it.
-- Run this in AstrID's database as the owner of AstrID's tables; then migrate as the new role, then run astrid_training.sql:
--     psql "$OWNER_URL" -f sql/roles/astrid_training_migrator.sql
-- Each statement can be repeated. The role has no password yet: \password astrid_training_migrator gives it one.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'astrid_training_migrator') THEN
        CREATE ROLE astrid_training_migrator LOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO astrid_training_migrator', current_database());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO astrid_training_migrator', current_schema());
    -- so that this owner may give the other roles their rights on what the role makes
    IF NOT pg_has_role('astrid_training_migrator', 'USAGE') THEN
        EXECUTE format('GRANT astrid_training_migrator TO %I', current_user);
    END IF;
END
$$;

-- What our foreign keys need; it changes no row.
GRANT REFERENCES ON observations, models, detections TO astrid_training_migrator;
