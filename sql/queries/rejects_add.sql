INSERT INTO training_rejects (dataset_id, sample_key, detection_id, step, reason, detail)
SELECT :dataset_id, sample_key, detection_id, step, reason, detail
FROM unnest(
    CAST(:sample_keys AS text[]), CAST(:detection_ids AS uuid[]), CAST(:steps AS text[]),
    CAST(:reasons AS text[]), CAST(:details AS text[]))
    AS reject (sample_key, detection_id, step, reason, detail)
ON CONFLICT (dataset_id, sample_key) DO NOTHING
