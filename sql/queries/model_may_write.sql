-- Whether this role may keep AstrID's models; whoever grants it both rights asks for it. By the system catalogue.
SELECT to_regclass('models') IS NOT NULL
   AND has_table_privilege(to_regclass('models'), 'INSERT') AND has_table_privilege(to_regclass('models'), 'UPDATE')
