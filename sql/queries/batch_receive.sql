-- By primary key; a batch that is there already stays as it is.
INSERT INTO training_validation_batches (batch_id, closed_at, detection_ids)
VALUES (:batch_id, :closed_at, CAST(:detection_ids AS uuid[]))
ON CONFLICT (batch_id) DO NOTHING
RETURNING batch_id
