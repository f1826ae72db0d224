-- Rows of a dataset that are none of its staged samples.
SELECT count(*) FROM training_samples s
WHERE s.dataset_id = :dataset_id
  AND (s.sample_key IS NULL OR NOT EXISTS (SELECT FROM training_samples_staged t WHERE t.sample_key = s.sample_key))
