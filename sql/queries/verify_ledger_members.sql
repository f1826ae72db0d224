-- The split of these samples, by their group. By primary key, of fixed length: compared with a text it would not be used.
SELECT CAST(m.sample_key AS text) AS key, l.split
FROM training_split_members m
JOIN unnest(CAST(:sample_keys AS bpchar[])) AS wanted (sample_key) ON m.sample_key = wanted.sample_key
JOIN training_split_ledger l ON l.policy = m.policy AND l.group_key = m.group_key
WHERE m.policy = :policy
ORDER BY 1
