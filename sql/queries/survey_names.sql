SELECT CAST(id AS text) AS id, name, is_active FROM surveys ORDER BY name
