-- Samples that cannot have a stamp from these sources; they are not tried again while the sources are the same.
INSERT INTO training_image_catalogue (sample_key, spec_fingerprint, source_digest, reason, detail)
SELECT sample_key, :fingerprint, source_digest, reason, detail
FROM unnest(CAST(:sample_keys AS text[]), CAST(:source_digests AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))
    AS rejected (sample_key, source_digest, reason, detail)
ON CONFLICT (sample_key, spec_fingerprint, source_digest) DO NOTHING
