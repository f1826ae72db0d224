-- By the unique index on surveys (name).
SELECT id, description FROM surveys WHERE name = :name
