-- Rows of a dataset as its staged samples have them. Uses uq_training_samples_dataset_key.
UPDATE training_samples s
SET observation_id = t.observation_id, detection_id = t.detection_id, image_path = t.image_path, mask_path = t.mask_path,
    labels = t.labels, metadata = t.metadata, split = t.split, weight = t.weight, group_key = t.group_key
FROM training_samples_staged t
WHERE s.dataset_id = :dataset_id AND s.sample_key = t.sample_key
  AND (s.observation_id, s.detection_id, s.image_path, s.mask_path, s.labels, s.metadata, s.split, s.weight, s.group_key)
      IS DISTINCT FROM (t.observation_id, t.detection_id, t.image_path, t.mask_path, t.labels, t.metadata, t.split, t.weight, t.group_key)
