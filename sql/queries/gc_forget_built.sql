-- Stamps in packs that are to go: they are built again when a collection wants them.
DELETE FROM training_image_catalogue
WHERE image_pack = ANY(CAST(:digests AS bpchar[])) OR flag_pack = ANY(CAST(:digests AS bpchar[]))
   OR significance_pack = ANY(CAST(:digests AS bpchar[])) OR measure_table = ANY(CAST(:digests AS bpchar[]))
