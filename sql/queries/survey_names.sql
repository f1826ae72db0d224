SELECT name, is_active FROM surveys ORDER BY name
