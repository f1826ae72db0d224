-- What became of these samples under this spec. By primary key, of fixed length: compared with a text it would not be used.
SELECT c.sample_key, c.input_digest, c.image_pack, c.flag_pack, c.significance_pack, c.measure_table, c.pack_row,
       c.reason, c.detail, c.at
FROM training_image_catalogue c
JOIN unnest(CAST(:sample_keys AS bpchar[]), CAST(:input_digests AS bpchar[])) AS wanted (sample_key, input_digest)
  ON c.sample_key = wanted.sample_key AND c.input_digest = wanted.input_digest
WHERE c.spec_fingerprint = :fingerprint
