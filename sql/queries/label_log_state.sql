-- Whether reviews' changes are logged, and whether this role may write the log. By the system catalogue.
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('validation_events') AND tgname = 'training_log_label_event') AS is_set,
       has_table_privilege('training_label_events', 'INSERT') AS may_write
