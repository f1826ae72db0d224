-- Idempotent: simulated ids are made from names. Primary key of candidates.
INSERT INTO candidates (
    id, difference_run_id, observation_id, ra, dec, pixel_x, pixel_y, flux, flux_error,
    significance, snr, fwhm, ellipticity, position_angle, is_saturated, is_edge, status,
    created_at, updated_at, is_blended
) VALUES (
    :id, :difference_run_id, :observation_id, :ra, :dec, :pixel_x, :pixel_y, :flux, :flux_error,
    :significance, :snr, :fwhm, :ellipticity, :position_angle, :is_saturated, :is_edge, :status,
    :created_at, :updated_at, false
)
ON CONFLICT DO NOTHING
