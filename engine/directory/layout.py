"""Names in a database's directory.

| name                 | holds                                                                              |
|----------------------|------------------------------------------------------------------------------------|
| `lumaai.json`        | the format (`engine.directory.migration`)                                                    |
| `lumaai.lock`        | the owner (`engine.directory.lock`)                                                          |
| `store/`             | RocksDB (`engine.store`)                                                           |
| `indexes/C/S/`       | files of segment S of collection C (`engine.segments.segment`)                     |
| `highwater.json`     | how far the database had come (`engine.directory.highwater`), and                            |
| `highwater.counter`  | the same, exact                                                                    |
| `restoring/`         | a restore: `new/` to come in, `old/` put aside (`engine.directory.restoring`)                |
| `restore.json`       | that a restore is to be finished, whatever happens                                 |
| `archiving/`         | an archive in the making (`engine.directory.archive`)                                        |
| `sql-temporary/`     | what queries do not hold in memory, while they run (`engine.sql.connections`)      |
| `snapshots/`         | archives, one each (`lumaai.snapshots`)                                            |

`archive.json` is not among them: it marks a directory as an archive.
"""

FORMAT_FILE = "lumaai.json"
FORMAT_DRAFT = FORMAT_FILE + ".new"
LOCK_FILE = "lumaai.lock"
STORE = "store"
INDEXES = "indexes"
MARK_FILE = "highwater.json"
COUNTER_FILE = "highwater.counter"
RESTORING = "restoring"
RESTORE_JOURNAL = "restore.json"
RESTORE_DRAFT = RESTORE_JOURNAL + ".new"
ARCHIVING = "archiving"
ARCHIVE_FILE = "archive.json"
SQL_TEMPORARY = "sql-temporary"
SNAPSHOTS = "snapshots"  # archives that whoever uses the engine keeps here

DATA = (FORMAT_FILE, STORE, INDEXES, MARK_FILE, COUNTER_FILE)  # what a restore replaces
NO_CONTENT = frozenset({LOCK_FILE, FORMAT_DRAFT, RESTORING, RESTORE_DRAFT})  # left by what was cut short
