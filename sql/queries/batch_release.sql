-- On ix_training_validation_batches_pending.
UPDATE training_validation_batches SET claimed_by = NULL, claimed_at = NULL
WHERE claimed_by = :flow_run_id AND dataset_id IS NULL
RETURNING batch_id
