import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Injectable } from '@nestjs/common';
import { About } from '../../substrate/about.js';
import { Database, type Queryable } from '../../substrate/database/database.port.js';
import { LeaseLost } from '../../substrate/lease/held-work.js';

/** The right to do one piece of work, until somebody else has it. */
export interface Lease {
  readonly name: string;
  readonly token: number;
}

/** One holder per piece of work over all processes; the database's clock decides, which all share. */
@Injectable()
export class Leases {
  readonly #holder: string;

  constructor(
    private readonly database: Database,
    { pid }: About,
  ) {
    // For people who read the row; the token alone decides who may write.
    this.#holder = `${hostname()}/${pid}/${randomUUID().slice(0, 8)}`;
  }

  /** The lease, unless somebody else holds one that has not run out. */
  async acquire(name: string, leaseMs: number): Promise<Lease | null> {
    const { rows } = await this.database.query<{ token: number }>(
      `insert into leases as l (name, token, holder, expires_at)
       values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3 / 1000.0))
       on conflict (name) do update
         set token = l.token + 1, holder = excluded.holder, expires_at = excluded.expires_at
         where l.expires_at <= clock_timestamp()
       returning token`,
      [name, this.#holder, leaseMs],
    );
    const token = rows[0]?.token;
    return token === undefined ? null : { name, token };
  }

  /** @throws LeaseLost */
  async renew(lease: Lease, leaseMs: number): Promise<void> {
    const { count } = await this.database.query(
      `update leases set expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where name = $1 and token = $2`,
      [lease.name, lease.token, leaseMs],
    );
    if (count === 0) throw new LeaseLost(lease.name, lease.token);
  }

  /** The row stays, so that the next token is a higher one. */
  async release({ name, token }: Lease): Promise<void> {
    await this.database.query(`update leases set expires_at = '-infinity' where name = $1 and token = $2`, [
      name,
      token,
    ]);
  }
}

/** Shared, so that it waits for a take-over under way and holds the next one up until this transaction ends. @throws LeaseLost */
export async function demandLease(transaction: Queryable, lease: Lease): Promise<void> {
  const { count } = await transaction.query('select from leases where name = $1 and token = $2 for share', [
    lease.name,
    lease.token,
  ]);
  if (count === 0) throw new LeaseLost(lease.name, lease.token);
}
