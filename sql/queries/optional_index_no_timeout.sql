-- A large table takes as long as it takes; until the session ends.
SELECT set_config('statement_timeout', '0', false)
