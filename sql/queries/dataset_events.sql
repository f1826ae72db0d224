-- What happened to a dataset, oldest first. Uses ix_training_dataset_events_dataset.
SELECT event, reason, by, at FROM training_dataset_events
WHERE dataset_id = CAST(:dataset_id AS uuid)
ORDER BY id
