-- How many rows a table has, as PostgreSQL last counted them; 0 where it has not yet. By the system catalogue.
SELECT GREATEST(CAST(reltuples AS bigint), 0) FROM pg_class WHERE oid = to_regclass(:table)
