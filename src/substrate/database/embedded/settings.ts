/**
 * After a crash Postgres first brings every file of the cluster to the disk, one by one; with a few dozen databases that took
 * 50 s. Linux can do it for the whole file system in one call.
 */
const recovery: Readonly<Record<string, string>> =
  process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {};

/**
 * The server's settings, given on the command line so that no file in the data folder can weaken them. What would only
 * make small commits quicker was tried on two shared cores (io_method=sync, wal_sync_method=open_datasync, commit_delay)
 * and differed by less than two runs of the same did, so the defaults stay.
 */
export const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // A socket's path may have 107 bytes, and data folders lie deeper; TCP on loopback has no such limit.
  unix_socket_directories: '',
  max_connections: '200',
  // An acknowledged commit is on the disk.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '128MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  password_encryption: 'scram-sha-256',
  // No replica reads this server's log, so it need not be written for one.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  max_wal_size: '1GB',
  checkpoint_timeout: '15min',
  log_checkpoints: 'off',
  // Failed statements are the caller's business and quote its values; the log keeps what happens to the server itself.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  ...recovery,
};
