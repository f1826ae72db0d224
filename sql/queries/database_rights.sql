-- What this role may not do that a collection needs, of the tables that are there. By the system catalogue.
SELECT wanted.name || ' ' || wanted.privilege
FROM (
    SELECT name, 'SELECT' AS privilege
    FROM unnest(ARRAY['surveys', 'observations', 'preprocess_runs', 'difference_runs', 'detections', 'validation_events', 'training_label_events']) AS name
    UNION ALL
    SELECT relname, privilege
    FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
    WHERE relname LIKE 'training\_%' AND relkind = 'r' AND pg_table_is_visible(oid)
      AND relname NOT IN ('training_migrations', 'training_label_events')
) AS wanted
WHERE to_regclass(wanted.name) IS NOT NULL AND NOT has_table_privilege(to_regclass(wanted.name), wanted.privilege)
ORDER BY 1
