-- Uses uq_training_samples_dataset_key.
SELECT sample_key, observation_id, detection_id, image_path, mask_path, labels, metadata, split, weight, group_key, dataset_id
FROM training_samples
WHERE dataset_id = :dataset_id AND sample_key IS NOT NULL
ORDER BY sample_key
