-- Who did what, newest first, with what happened to datasets later. By ix_training_audit_subject and
-- ix_training_dataset_events_dataset where a subject is named; else both tables are read: a row a deed.
SELECT at, action, subject, by, role, detail FROM (
    SELECT at, action, subject, by, CAST(role AS text) AS role, detail FROM training_audit
    WHERE CAST(:subject AS text) IS NULL OR subject = :subject
    UNION ALL
    SELECT at, event, CAST(dataset_id AS text), by, NULL, jsonb_build_object('reason', reason)
    FROM training_dataset_events
    WHERE CAST(:subject AS text) IS NULL OR dataset_id = CAST(:dataset_id AS uuid)
) AS told
WHERE CAST(:by AS text) IS NULL OR by = :by
ORDER BY at DESC
LIMIT :limit
