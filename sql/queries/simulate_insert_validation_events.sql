-- Idempotent: simulated ids are made from names. Primary key of validation_events.
INSERT INTO validation_events (
    id, detection_id, validator_id, is_valid, label, confidence_level, notes, tags, image_quality,
    detection_quality, created_at, updated_at
) VALUES (
    :id, :detection_id, :validator_id, :is_valid, :label, :confidence_level, :notes, :tags,
    :image_quality, :detection_quality, :created_at, :updated_at
)
ON CONFLICT DO NOTHING
