"""The directory of a database: its format and lock, opening and recovery, archives, restoring, checking."""
