-- By primary key; a collection with an earlier as_of changes nothing.
UPDATE training_datasets SET looked_at = GREATEST(looked_at, as_of, :as_of) WHERE id = CAST(:dataset_id AS uuid)
