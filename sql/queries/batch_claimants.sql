-- On ix_training_validation_batches_pending.
SELECT DISTINCT claimed_by FROM training_validation_batches
WHERE dataset_id IS NULL AND claimed_by IS NOT NULL
ORDER BY claimed_by
