-- Where a dataset's samples wait in this transaction before they are added.
CREATE TEMP TABLE training_samples_staged (
    observation_id uuid, detection_id uuid, image_path text, mask_path text, labels jsonb, metadata jsonb,
    sample_key text, split text, weight double precision, group_key text) ON COMMIT DROP
