import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import { PG_TYPES } from './pg.values.js';

/** Where a Postgres server is and which database of it is meant. */
export interface PgAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** TLS settings; false speaks plainly (loopback, or a network that encrypts below). */
  readonly tls: ConnectionOptions | false;
}

export interface PgCredentials {
  readonly user: string;
  readonly password: string;
}

/** Bounds that every connection is opened with, so that no statement can hang a unit for ever. */
export interface PgLimits {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
  /** To reach the server and log in, and to wait for a free connection of the pool. */
  readonly connectTimeoutMs: number;
}

export const DEFAULT_LIMITS: PgLimits = {
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 3_000,
  idleInTransactionTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
};

/**
 * How much longer than the server's own limit the client waits for an answer. The server cancels a statement at its
 * limit and says so; only when its machine is gone without a word does the client's limit end the wait.
 */
export const ANSWER_GRACE_MS = 5_000;

/**
 * The driver's settings for one login. Everything is given, nothing left out: what is left out the driver takes from
 * PGUSER, PGPASSWORD, PGSSLMODE and a dozen more of the environment, and the program would run elsewhere than its profile says.
 */
export function pgConfig(
  address: PgAddress,
  credentials: PgCredentials,
  limits: PgLimits,
  settings: { readonly searchPath: string; readonly applicationName: string },
): pg.ClientConfig {
  return {
    host: address.host,
    port: address.port,
    database: address.database,
    ssl: address.tls,
    user: credentials.user,
    password: credentials.password,
    // Postgres cuts the name at 63 bytes; so do we, to have no warning at each login.
    application_name: settings.applicationName.slice(0, 63),
    options: `-c search_path=${settings.searchPath} -c TimeZone=UTC -c DateStyle=ISO`,
    client_encoding: 'UTF8',
    statement_timeout: limits.statementTimeoutMs,
    lock_timeout: limits.lockTimeoutMs,
    idle_in_transaction_session_timeout: limits.idleInTransactionTimeoutMs,
    query_timeout: answerLimitMs(limits.statementTimeoutMs),
    connectionTimeoutMillis: limits.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: PG_TYPES,
  };
}

/** 0 means no limit, to the server and to the driver alike. */
export function answerLimitMs(statementTimeoutMs: number): number {
  return statementTimeoutMs === 0 ? 0 : statementTimeoutMs + ANSWER_GRACE_MS;
}
