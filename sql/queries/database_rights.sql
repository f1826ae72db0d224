-- What this role may not do that a collection needs, of the tables that are there. By the system catalogue.
SELECT wanted.name || ' ' || wanted.privilege
FROM (
    SELECT name, 'SELECT' AS privilege
    FROM unnest(ARRAY[
        'surveys', 'observations', 'preprocess_runs', 'difference_runs', 'detections', 'validation_events', 'training_label_events'
    ]) AS name
    UNION ALL
    SELECT name, privilege
    FROM unnest(ARRAY[
        'training_datasets', 'training_samples', 'training_rejects', 'training_runs', 'training_run_steps', 'training_split_ledger',
        'training_split_members', 'training_image_catalogue', 'training_objects', 'training_quarantine',
        'training_validation_batches', 'training_dataset_events', 'training_freshness_breaches', 'training_review_queues',
        'training_review_queue_items', 'training_api_tokens', 'training_audit'
    ]) AS name, unnest(ARRAY['SELECT', 'INSERT']) AS privilege
    UNION ALL
    SELECT name, 'UPDATE'
    FROM unnest(ARRAY[
        'training_datasets', 'training_runs', 'training_run_steps', 'training_image_catalogue', 'training_objects',
        'training_quarantine', 'training_validation_batches', 'training_freshness_breaches', 'training_api_tokens'
    ]) AS name
    UNION ALL
    SELECT name, 'DELETE' FROM unnest(ARRAY['training_image_catalogue', 'training_objects']) AS name
) AS wanted
WHERE to_regclass(wanted.name) IS NOT NULL
  AND NOT has_table_privilege(to_regclass(wanted.name), wanted.privilege)
  AND (wanted.privilege = 'DELETE' OR NOT has_any_column_privilege(to_regclass(wanted.name), wanted.privilege))
ORDER BY 1
