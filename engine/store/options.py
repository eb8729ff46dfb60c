"""How RocksDB is set up, each figure with what it was measured against or why it is so (see ARCHITECTURE.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
)

BLOCK_CACHE_BYTES = 128 * 1024 * 1024
MEMTABLES_BYTES = 128 * 1024 * 1024
WAL_BYTES_MAX = 512 * 1024 * 1024
BLOCK_BYTES = 4 * 1024  # out of the cache 16 KiB take 2.3 × as long, for 7 % less disk; in it they differ little
RESTART_INTERVAL = 4  # keys between two that are stored whole; against 16 no difference beyond the noise was measured
ARENA_BYTES = 1 << 20  # what a memtable takes at least; RocksDB's 4 MiB a family add up where nothing is written
MANIFEST_BYTES = 64 * 1024  # reserved at a time; RocksDB's 4 MiB may be all that a full disk has left
LEAN_MEMTABLE_BYTES = 1 << 30  # more than the log ever has, so that none becomes full
_LEAN = Path(__file__).with_name("lean")
FILTER_BITS = 10  # a key: 1 % of the lookups of what is not there read a block


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What may be chosen when a database is opened.

    Attributes:
        compression: LZ4, and Zstandard at the bottom. Without it the disk takes two to three times as much.
        cache_bytes: of uncompressed blocks that are kept.
        memtables_bytes: of writes that are not yet in tables.
        block_bytes: of one block; smaller ones read less for a single document and compress worse.
    """

    compression: bool = True
    cache_bytes: int = BLOCK_CACHE_BYTES
    memtables_bytes: int = MEMTABLES_BYTES
    block_bytes: int = BLOCK_BYTES


def database_options(chosen: StoreOptions, *, lean: bool = False) -> Options:
    """Options of the whole store.

    Args:
        chosen: by who opens it.
        lean: for a full disk: what the log holds is kept in memory as long as the store is open so, and nothing is
            written to tables by itself. rocksdict has no setter for that, but reads options from a file.
    """
    options = Options.load_latest(str(_LEAN))[0] if lean else Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # The default point-in-time mode drops acknowledged writes behind a damaged record without a word.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(LEAN_MEMTABLE_BYTES if lean else WAL_BYTES_MAX)
    options.set_db_write_buffer_size(0 if lean else chosen.memtables_bytes)
    options.set_manifest_preallocation_size(MANIFEST_BYTES)
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 << 20)
    # The manifest names the first and the last key of every table, also of those that are no more. A new one with each
    # flush or compaction, which is a few milliseconds, so that ids which were deleted do not stay in it.
    options.set_max_manifest_file_size(1)
    return options


def family_options(chosen: StoreOptions, cache: Cache, *, lean: bool = False) -> Options:
    """Options of each family; `lean` as in `database_options`."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(FILTER_BITS, False)
    table.set_block_size(chosen.block_bytes)
    table.set_block_restart_interval(RESTART_INTERVAL)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(LEAN_MEMTABLE_BYTES if lean else 32 << 20)
    options.set_arena_block_size(ARENA_BYTES)
    options.set_level_compaction_dynamic_level_bytes(True)
    if chosen.compression:
        options.set_compression_type(DBCompressionType.lz4())
        options.set_bottommost_compression_type(DBCompressionType.zstd())
    else:
        options.set_compression_type(DBCompressionType.none())
        options.set_bottommost_compression_type(DBCompressionType.none())
    return options
