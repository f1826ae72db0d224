-- How long the rest of this transaction waits for a table.
SELECT set_config('lock_timeout', :timeout, true)
