-- A group that is there keeps its split: the ledger is never rewritten.
INSERT INTO training_split_ledger (policy, group_key, split, tile, first_dataset)
SELECT :policy, group_key, split, tile, :dataset_id
FROM unnest(CAST(:group_keys AS text[]), CAST(:splits AS text[]), CAST(:tiles AS text[])) AS new (group_key, split, tile)
ON CONFLICT (policy, group_key) DO NOTHING
