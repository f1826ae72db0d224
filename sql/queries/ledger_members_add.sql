INSERT INTO training_split_members (
    policy, sample_key, group_key, ra_deg, dec_deg, radius_arcsec, half_arcsec, exposure, reference, mover, field)
SELECT :policy, sample_key, group_key, ra_deg, dec_deg, radius_arcsec, half_arcsec, exposure, reference, mover, field
FROM unnest(
    CAST(:sample_keys AS text[]), CAST(:group_keys AS text[]), CAST(:ra_deg AS double precision[]),
    CAST(:dec_deg AS double precision[]), CAST(:radius_arcsec AS double precision[]),
    CAST(:half_arcsec AS double precision[]), CAST(:exposure AS text[]), CAST(:reference AS text[]),
    CAST(:mover AS text[]), CAST(:field AS text[]))
    AS new (sample_key, group_key, ra_deg, dec_deg, radius_arcsec, half_arcsec, exposure, reference, mover, field)
ON CONFLICT (policy, sample_key) DO NOTHING
