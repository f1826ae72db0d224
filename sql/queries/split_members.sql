-- Uses ix_training_split_members_dec.
SELECT m.sample_key, m.group_key, l.split, m.ra_deg, m.dec_deg
FROM training_split_members m
JOIN training_split_ledger l USING (policy, group_key)
WHERE m.policy = :policy AND m.dec_deg BETWEEN :dec_from AND :dec_to
ORDER BY m.sample_key
