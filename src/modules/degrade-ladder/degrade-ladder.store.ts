import { Injectable } from '@nestjs/common';
import { type Posture, PostureSchema } from '../../rails/events/posture.schema.js';
import { fromEpochMs, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Database } from '../../substrate/database/database.port.js';
import type { Evaluated, Prior, Reading } from './ladder.core.js';

const postures = validatorOf(PostureSchema, 'the posture');

export interface PostureRow {
  readonly posture: Posture;
  readonly readings: readonly Reading[];
}

export type Stored = Prior | 'damaged' | null;

/** The schema `dl`: the posture of each scope under one evaluator, and its history. */
@Injectable()
export class DegradeLadderStore {
  constructor(private readonly database: Database) {}

  async current(scopeKey: string): Promise<Stored> {
    const { rows } = await this.database.query<ScopeRow>(
      { text: 'select posture, quiet_since, posture_seq from scopes where scope_key = $1', readOnly: true },
      [scopeKey],
    );
    return storedOf(rows[0]);
  }

  /**
   * Lets `next` decide on what stands there, if this process holds the lease or nobody does. The row stays locked meanwhile, so that a number is
   * never given twice; the change, its history and the message to the control topic are written together.
   * @returns null when another process evaluates
   */
  async decide(
    scopeKey: string,
    holder: string,
    leaseMs: number,
    next: (prior: Stored, lastSeq: number) => { readonly evaluated: Evaluated; readonly readings: readonly Reading[] },
  ): Promise<Evaluated | null> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<ScopeRow & { mine: boolean }>(
        `select posture, quiet_since, posture_seq,
           (holder is null or holder = $2 or lease_until < clock_timestamp()) as mine
         from scopes where scope_key = $1 for update`,
        [scopeKey, holder],
      );
      const [row] = rows;
      if (row === undefined || !row.mine) return null;
      const { evaluated, readings } = next(storedOf(row), row.posture_seq);
      const { posture, quietSinceMs, isMaterial } = evaluated;
      await transaction.query(
        `update scopes set posture = $2, quiet_since = $3, posture_seq = greatest(posture_seq, $4), holder = $5,
           lease_until = clock_timestamp() + make_interval(secs => $6 / 1000.0)
         where scope_key = $1`,
        [
          scopeKey,
          JSON.stringify(posture),
          quietSinceMs === null ? null : fromEpochMs(quietSinceMs),
          posture.posture_seq,
          holder,
          leaseMs,
        ],
      );
      if (isMaterial) {
        await transaction.query(
          'insert into postures (scope_key, posture_seq, posture, readings, decided_at) values ($1, $2, $3, $4, $5)',
          [scopeKey, posture.posture_seq, JSON.stringify(posture), JSON.stringify(readings), posture.decided_at_utc],
        );
        await transaction.query('insert into outbox (scope_key, posture_seq) values ($1, $2)', [
          scopeKey,
          posture.posture_seq,
        ]);
      }
      return evaluated;
    });
  }

  /** Changes that the control topic has not got yet, oldest first. */
  async unpublished(limit: number): Promise<readonly Posture[]> {
    const { rows } = await this.database.query<{ posture: Posture }>(
      {
        text: `select posture from outbox join postures using (scope_key, posture_seq) order by scope_key, posture_seq limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows.map(({ posture }) => posture);
  }

  async published(postures: readonly Posture[]): Promise<void> {
    await this.database.query(
      'delete from outbox where (scope_key, posture_seq) in (select * from unnest($1::text[], $2::bigint[]))',
      [postures.map(({ scope_key }) => scope_key), postures.map(({ posture_seq }) => posture_seq)],
    );
  }

  async history(scopeKey: string, before: number | null, limit: number): Promise<readonly PostureRow[]> {
    const { rows } = await this.database.query<PostureRow>(
      {
        text: `select posture, readings from postures where scope_key = $1 and ($2::bigint is null or posture_seq < $2)
               order by posture_seq desc limit $3`,
        readOnly: true,
      },
      [scopeKey, before, limit],
    );
    return rows;
  }

  async release(scopeKey: string, holder: string): Promise<void> {
    await this.database.query(
      'update scopes set holder = null, lease_until = null where scope_key = $1 and holder = $2',
      [scopeKey, holder],
    );
  }
}

interface ScopeRow {
  readonly posture: unknown;
  readonly quiet_since: UtcMicros | null;
  readonly posture_seq: number;
}

function storedOf(row: ScopeRow | undefined): Stored {
  if (row === undefined || row.posture === null) return null;
  const posture = postures.check(row.posture);
  if (!posture.ok) return 'damaged';
  return {
    posture: posture.value,
    quietSinceMs: row.quiet_since === null ? null : toEpochMicros(row.quiet_since) / 1_000,
  };
}
