-- Objects that a dataset of any status, the catalogue, or a collection of late names; catalogue rows that have
-- been left over for long name none. Flags and significance of datasets stand in their tables of samples.
WITH published AS MATERIALIZED (
    SELECT DISTINCT substring(path FROM '[a-z]+/[0-9a-f]{64}[.]npy') AS key
    FROM training_samples s, LATERAL (VALUES (s.image_path), (s.mask_path)) AS named (path)
), built AS MATERIALIZED (
    SELECT DISTINCT image_pack, flag_pack, significance_pack, measure_table
    FROM training_image_catalogue c
    WHERE image_pack IS NOT NULL AND (
        at >= :left_before
        OR EXISTS (SELECT FROM published p WHERE p.key = 'images/' || c.image_pack || '.npy')
        OR EXISTS (SELECT FROM training_objects o WHERE o.key = 'images/' || c.image_pack || '.npy' AND o.wanted_at >= :left_before)
    )
)
SELECT key FROM published WHERE key IS NOT NULL
UNION SELECT unnest(ARRAY[
    'images/' || image_pack || '.npy', 'flags/' || flag_pack || '.npy',
    'significance/' || significance_pack || '.npy', 'measures/' || measure_table || '.parquet']) FROM built
UNION SELECT unnest(ARRAY[samples_key, 'reports/' || id || '.html', 'runs/' || flow_run_id || '.json',
    'cards/' || id || '/README.md', 'cards/' || id || '/croissant.json'])
    FROM training_datasets WHERE version_id IS NOT NULL
UNION SELECT key FROM training_objects WHERE wanted_at >= :wanted_since
