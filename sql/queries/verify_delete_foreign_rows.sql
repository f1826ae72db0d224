-- The same, away with them; only the owner of the table may.
DELETE FROM training_samples s
WHERE s.dataset_id = :dataset_id
  AND (s.sample_key IS NULL OR NOT EXISTS (SELECT FROM training_samples_staged t WHERE t.sample_key = s.sample_key))
