-- Idempotent: simulated ids are made from names. Primary key of observations.
INSERT INTO observations (
    id, survey_id, observation_id, ra, dec, observation_time, filter_band, exposure_time,
    fits_url, pixel_scale, image_width, image_height, airmass, seeing, status, fits_file_path,
    created_at, updated_at
) VALUES (
    :id, :survey_id, :observation_id, :ra, :dec, :observation_time, :filter_band, :exposure_time,
    :fits_url, :pixel_scale, :image_width, :image_height, :airmass, :seeing, :status,
    :fits_file_path, :created_at, :updated_at
)
ON CONFLICT DO NOTHING
