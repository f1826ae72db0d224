-- Idempotent: ids are made from names. Primary key of candidates.
INSERT INTO candidates (id, difference_run_id, observation_id, ra, dec, pixel_x, pixel_y, snr, fwhm, ellipticity, is_saturated, is_blended, is_edge, status, created_at, updated_at)
SELECT id, difference_run_id, observation_id, ra, dec, pixel_x, pixel_y, snr, fwhm, ellipticity, is_saturated, is_blended, is_edge, status, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS candidates), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
