-- What a dataset's samples prove of its row.
UPDATE training_datasets
SET version_id = :version_id, content_digest = :content_digest, split_digest = :split_digest, total_samples = :total_samples,
    anomaly_ratio = :anomaly_ratio, quality_score = :quality_score, splits = CAST(:splits AS jsonb), classes = CAST(:classes AS jsonb)
WHERE id = :dataset_id
