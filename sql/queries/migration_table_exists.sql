-- By the system catalogue.
SELECT to_regclass(:name) IS NOT NULL
