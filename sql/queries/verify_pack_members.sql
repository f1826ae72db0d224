-- The samples whose stamps lie in these packs. Uses ix_training_image_catalogue_pack.
SELECT DISTINCT CAST(sample_key AS text)
FROM training_image_catalogue
WHERE spec_fingerprint = :fingerprint AND image_pack = ANY(CAST(:image_packs AS bpchar[]))
ORDER BY 1
