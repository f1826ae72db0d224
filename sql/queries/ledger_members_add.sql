INSERT INTO training_split_members (policy, sample_key, group_key, ra_deg, dec_deg, radius_arcsec)
SELECT :policy, sample_key, group_key, ra_deg, dec_deg, radius_arcsec
FROM unnest(
    CAST(:sample_keys AS text[]), CAST(:group_keys AS text[]), CAST(:ra_deg AS double precision[]),
    CAST(:dec_deg AS double precision[]), CAST(:radius_arcsec AS double precision[]))
    AS new (sample_key, group_key, ra_deg, dec_deg, radius_arcsec)
ON CONFLICT (policy, sample_key) DO NOTHING
