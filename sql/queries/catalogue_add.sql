-- Idempotent; a sample whose earlier pack has gone points at the new one.
INSERT INTO training_image_catalogue
    (sample_key, spec_fingerprint, input_digest, image_pack, flag_pack, significance_pack, measure_table, pack_row)
SELECT sample_key, :fingerprint, input_digest, :image_pack, :flag_pack, :significance_pack, :measure_table, pack_row
FROM unnest(CAST(:sample_keys AS text[]), CAST(:input_digests AS text[]), CAST(:pack_rows AS integer[]))
    AS built (sample_key, input_digest, pack_row)
ON CONFLICT (sample_key, spec_fingerprint, input_digest) DO UPDATE
SET image_pack = excluded.image_pack, flag_pack = excluded.flag_pack, significance_pack = excluded.significance_pack,
    measure_table = excluded.measure_table, pack_row = excluded.pack_row, reason = NULL, detail = NULL,
    at = excluded.at
