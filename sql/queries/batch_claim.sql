-- On ix_training_validation_batches_pending; rows that another claimer is taking are passed over.
WITH pending AS (
    SELECT batch_id FROM training_validation_batches
    WHERE dataset_id IS NULL
      AND (claimed_by IS NULL OR claimed_by = :flow_run_id OR claimed_by = ANY(CAST(:void AS text[])))
    ORDER BY closed_at, batch_id
    FOR UPDATE SKIP LOCKED
)
UPDATE training_validation_batches AS batch
SET claimed_by = :flow_run_id, claimed_at = now()
FROM pending
WHERE batch.batch_id = pending.batch_id
RETURNING batch.batch_id, batch.closed_at, batch.detection_ids
