-- By the unique index on surveys (name).
SELECT id FROM surveys WHERE name = :name
