-- All rows of a dataset as they are, by key; those without a key are none of ours and come last. Uses uq_training_samples_dataset_key.
SELECT CAST(observation_id AS text) AS observation_id, CAST(detection_id AS text) AS detection_id, image_path, mask_path,
       CAST(labels AS text) AS labels, CAST(metadata AS text) AS metadata, sample_key, split, weight, group_key
FROM training_samples
WHERE dataset_id = :dataset_id
ORDER BY sample_key COLLATE "C" NULLS LAST
