INSERT INTO training_split_members (policy, sample_key, group_key, ra_deg, dec_deg)
SELECT :policy, sample_key, group_key, ra_deg, dec_deg
FROM unnest(
    CAST(:sample_keys AS text[]), CAST(:group_keys AS text[]), CAST(:ra_deg AS double precision[]),
    CAST(:dec_deg AS double precision[])) AS new (sample_key, group_key, ra_deg, dec_deg)
ON CONFLICT (policy, sample_key) DO NOTHING
