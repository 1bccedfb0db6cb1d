"""What each command found out: frozen, free of terminals and runtimes, and exactly what `--json` prints.

Every document carries `schema_version`; a field may be added within a version, never renamed or removed.
Shares such as accuracies and agreements lie between 0 and 1; drops are in percentage points, as their names say.
"""
