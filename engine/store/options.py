"""How RocksDB is set up, each figure with what it was measured against or why it is so (see ARCHITECTURE.md)."""

from __future__ import annotations

from dataclasses import dataclass

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


def database_options(chosen: StoreOptions) -> Options:
    """Options of the whole store."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # The default point-in-time mode drops acknowledged writes behind a damaged record without a word.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(WAL_BYTES_MAX)
    options.set_db_write_buffer_size(chosen.memtables_bytes)
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 << 20)
    # The manifest names the first and the last key of every table, also of those that are no more. A new one with each
    # flush or compaction, which is a few milliseconds, so that ids which were deleted do not stay in it.
    options.set_max_manifest_file_size(1)
    return options


def family_options(chosen: StoreOptions, cache: Cache) -> Options:
    """Options of each family."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(FILTER_BITS, False)
    table.set_block_size(chosen.block_bytes)
    table.set_block_restart_interval(RESTART_INTERVAL)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(32 << 20)
    options.set_arena_block_size(ARENA_BYTES)
    options.set_level_compaction_dynamic_level_bytes(True)
    if chosen.compression:
        options.set_compression_type(DBCompressionType.lz4())
        options.set_bottommost_compression_type(DBCompressionType.zstd())
    else:
        options.set_compression_type(DBCompressionType.none())
        options.set_bottommost_compression_type(DBCompressionType.none())
    return options
