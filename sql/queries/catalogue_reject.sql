-- Samples that cannot have a stamp from these sources; they are not tried again while the sources are the same.
INSERT INTO training_image_catalogue (sample_key, spec_fingerprint, input_digest, reason, detail)
SELECT sample_key, :fingerprint, input_digest, reason, detail
FROM unnest(CAST(:sample_keys AS text[]), CAST(:input_digests AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[]))
    AS rejected (sample_key, input_digest, reason, detail)
ON CONFLICT (sample_key, spec_fingerprint, input_digest) DO NOTHING
