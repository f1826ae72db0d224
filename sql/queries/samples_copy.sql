COPY training_samples_staged (
    observation_id, detection_id, image_path, mask_path, labels, metadata, sample_key, split, weight, group_key) FROM STDIN
