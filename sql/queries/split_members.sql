-- Members of earlier datasets that these samples can reach: by place, designation or field.
-- Uses ix_training_split_members_dec, _mover and _field.
SELECT m.sample_key, m.group_key, l.split, m.ra_deg, m.dec_deg, m.radius_arcsec, m.half_arcsec, m.exposure, m.reference,
       m.mover, m.field, l.tile
FROM training_split_members m
JOIN training_split_ledger l USING (policy, group_key)
CROSS JOIN (
    SELECT max(GREATEST(radius_arcsec, 1.5 * half_arcsec)) AS largest FROM training_split_members WHERE policy = :policy) r
WHERE m.policy = :policy
  AND (m.dec_deg BETWEEN :dec_from - GREATEST(:reach_arcsec, r.largest) / 3600 AND :dec_to + GREATEST(:reach_arcsec, r.largest) / 3600
       OR (m.mover <> '' AND m.mover = ANY(CAST(:movers AS text[])))
       OR m.field = ANY(CAST(:fields AS text[])))
ORDER BY m.sample_key
