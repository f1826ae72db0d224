-- The staged samples of a dataset; a repeated call adds none. Where AstrID made the table, its id has no default.
-- Uses uq_training_samples_dataset_key.
INSERT INTO training_samples (
    id, dataset_id, observation_id, detection_id, image_path, mask_path, labels, metadata, sample_key, split, weight, group_key)
SELECT gen_random_uuid(), :dataset_id, observation_id, detection_id, image_path, mask_path, labels, metadata,
       sample_key, split, weight, group_key
FROM training_samples_staged
ON CONFLICT (dataset_id, sample_key) WHERE sample_key IS NOT NULL DO NOTHING
