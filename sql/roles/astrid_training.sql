-- The role that collects and trains: it reads AstrID's tables, and makes, reads and writes ours. It cannot change a row of AstrID's.
-- Run this in AstrID's database as the owner of AstrID's tables, and again whenever that owner has applied migrations of ours:
--     psql "$OWNER_URL" -f sql/roles/astrid_training.sql
-- Each statement can be repeated. The role has no password yet: \password astrid_training gives it one.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'astrid_training') THEN
        CREATE ROLE astrid_training LOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO astrid_training', current_database());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO astrid_training', current_schema());
END
$$;

GRANT SELECT ON
    surveys, observations, preprocess_runs, difference_runs, candidates, models, model_runs, detections, validation_events
TO astrid_training;

-- What our foreign keys need; it changes no row.
GRANT REFERENCES ON observations, models, detections TO astrid_training;

-- Our tables that this owner made; those that the role made are its own. Of all rows only those of the catalogue of built stamps and
-- those of objects are ever deleted: they save time and are no record.
DO $$
DECLARE
    ours regclass;
BEGIN
    FOR ours IN
        SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'training\_%'
          AND pg_has_role(relowner, 'USAGE')
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO astrid_training', ours);
        IF ours = to_regclass('training_image_catalogue') OR ours = to_regclass('training_objects') THEN
            EXECUTE format('GRANT DELETE ON %s TO astrid_training', ours);
        END IF;
    END LOOP;
END
$$;
