-- Never active: a collection takes a simulated survey only where it is named. Idempotent: simulated ids are made from names. Primary key of surveys. The unique name conflicts too: simulate_survey_id tells whose it is.
INSERT INTO surveys (
    id, name, description, created_at, updated_at, is_active
) VALUES (
    :id, :name, :description, :created_at, :updated_at, false
)
ON CONFLICT DO NOTHING
