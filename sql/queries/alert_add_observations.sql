-- Idempotent: ids are made from names. Primary key of observations.
INSERT INTO observations (id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, seeing, status, created_at, updated_at)
SELECT id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time, fits_url, pixel_scale, seeing, status, created_at, updated_at
FROM jsonb_populate_recordset(CAST(NULL AS observations), CAST(:rows AS jsonb))
ON CONFLICT DO NOTHING
