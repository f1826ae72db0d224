-- On ix_training_validation_batches_pending: closed batches that wait, and which run holds them.
SELECT batch_id, closed_at, CAST(detection_ids AS text[]) AS detection_ids, claimed_by
FROM training_validation_batches
WHERE dataset_id IS NULL AND received_at < CAST(:before AS timestamptz)
ORDER BY closed_at, batch_id
