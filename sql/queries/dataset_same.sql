-- The active dataset of this name if it holds exactly this content and split, prepared in the same way: one whose
-- pixels happen to be the same although a step changed would be refused by its loader. Uses uq_training_datasets_active_name.
SELECT id, samples_key FROM training_datasets
WHERE name = :name AND status = 'active' AND version_id IS NOT NULL
  AND content_digest = :content_digest AND split_digest = :split_digest
  AND spec_fingerprint = :spec_fingerprint
