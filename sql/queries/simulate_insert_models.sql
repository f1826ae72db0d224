-- Idempotent: simulated ids are made from names. Primary key of models.
INSERT INTO models (
    id, name, version, is_active, created_at, updated_at, model_type
) VALUES (
    :id, :name, :version, :is_active, :created_at, :updated_at, 'UNET'
)
ON CONFLICT DO NOTHING
