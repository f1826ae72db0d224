-- Groups get the split that a dataset was published with, unless rows of another dataset of this policy say otherwise.
UPDATE training_split_ledger l
SET split = published.split
FROM unnest(CAST(:group_keys AS text[]), CAST(:splits AS text[])) AS published (group_key, split)
WHERE l.policy = :policy AND l.group_key = published.group_key AND l.split <> published.split
  AND NOT EXISTS (
      SELECT FROM training_samples s JOIN training_datasets d ON d.id = s.dataset_id
      WHERE d.split_policy = :policy AND s.group_key = l.group_key
        AND s.split IN ('train', 'val', 'test') AND s.split <> published.split)
