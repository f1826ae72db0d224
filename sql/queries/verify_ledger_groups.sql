-- The split of these groups. By primary key.
SELECT l.group_key AS key, l.split
FROM training_split_ledger l
JOIN unnest(CAST(:group_keys AS text[])) AS wanted (group_key) ON l.group_key = wanted.group_key
WHERE l.policy = :policy
ORDER BY 1
