"""Plain SQL: numbered migrations in `schema/`, one statement a file in `queries/`."""
