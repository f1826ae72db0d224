-- What became of these samples under this spec. By primary key.
SELECT c.sample_key, c.source_digest, c.image_pack, c.flag_pack, c.measure_table, c.pack_row,
       c.reason, c.detail
FROM training_image_catalogue c
JOIN unnest(CAST(:sample_keys AS text[]), CAST(:source_digests AS text[])) AS wanted (sample_key, source_digest)
  ON c.sample_key = wanted.sample_key AND c.source_digest = wanted.source_digest
WHERE c.spec_fingerprint = :fingerprint
