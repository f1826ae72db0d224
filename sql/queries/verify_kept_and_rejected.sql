-- Samples of a dataset's splits that are among its rejects, too. Uses uq_training_samples_dataset_key and the rejects' primary key.
SELECT CAST(s.sample_key AS text)
FROM training_samples s
JOIN training_rejects r ON r.dataset_id = s.dataset_id AND r.sample_key = s.sample_key
WHERE s.dataset_id = :dataset_id AND s.split IN ('train', 'val', 'test')
ORDER BY 1
