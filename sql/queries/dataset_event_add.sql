INSERT INTO training_dataset_events (dataset_id, event, reason, by)
VALUES (CAST(:dataset_id AS uuid), :event, :reason, :by)
