-- Forgets the built stamps that catalogue_unpublished counts; they are built again when a collection wants them.
WITH used AS MATERIALIZED (
    SELECT DISTINCT substring(image_path FROM '/images/([0-9a-f]{64})[.]npy#') AS pack FROM training_samples WHERE sample_key IS NOT NULL
)
DELETE FROM training_image_catalogue c
WHERE c.image_pack IS NOT NULL AND c.at < :before AND NOT EXISTS (SELECT FROM used u WHERE u.pack = c.image_pack)
  AND NOT EXISTS (SELECT FROM training_objects o WHERE o.key = 'images/' || c.image_pack || '.npy' AND o.wanted_at >= :before)
