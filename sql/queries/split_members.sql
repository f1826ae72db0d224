-- Uses ix_training_split_members_dec.
SELECT m.sample_key, m.group_key, l.split, m.ra_deg, m.dec_deg, m.radius_arcsec
FROM training_split_members m
JOIN training_split_ledger l USING (policy, group_key)
CROSS JOIN (SELECT max(radius_arcsec) AS largest FROM training_split_members WHERE policy = :policy) r
WHERE m.policy = :policy AND m.dec_deg BETWEEN :dec_from - GREATEST(:reach_arcsec, r.largest) / 3600
                     AND :dec_to + GREATEST(:reach_arcsec, r.largest) / 3600
ORDER BY m.sample_key
