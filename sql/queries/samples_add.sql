-- All samples of a dataset in one statement; a repeated call adds none. Where AstrID made the table, its id has no default.
INSERT INTO training_samples (
    id, dataset_id, observation_id, detection_id, image_path, mask_path, labels, metadata, sample_key, split, weight, group_key)
SELECT gen_random_uuid(), :dataset_id, observation_id, detection_id, image_path, mask_path, CAST(labels AS jsonb), CAST(metadata AS jsonb),
       sample_key, split, weight, group_key
FROM unnest(
    CAST(:observation_ids AS uuid[]), CAST(:detection_ids AS uuid[]), CAST(:image_paths AS text[]),
    CAST(:mask_paths AS text[]), CAST(:labels AS text[]), CAST(:metadata AS text[]), CAST(:sample_keys AS text[]),
    CAST(:splits AS text[]), CAST(:weights AS double precision[]), CAST(:group_keys AS text[]))
    AS sample (observation_id, detection_id, image_path, mask_path, labels, metadata, sample_key, split, weight, group_key)
ON CONFLICT (dataset_id, sample_key) WHERE sample_key IS NOT NULL DO NOTHING
