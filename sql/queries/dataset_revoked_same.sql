-- A revoked dataset of this name that held exactly this content and split. Uses ix_training_datasets_content_digest.
SELECT id, version_id FROM training_datasets
WHERE name = :name AND status = 'revoked' AND version_id IS NOT NULL
  AND content_digest = :content_digest AND split_digest = :split_digest
ORDER BY created_at DESC, id
LIMIT 1
