-- Where the table of a dataset's samples lies, once packs were built again under new names. Its content, by digest, is the same.
UPDATE training_datasets SET samples_key = :samples_key WHERE id = :dataset_id
