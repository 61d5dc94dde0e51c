import { Injectable } from '@nestjs/common';
import type { Actor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';
import { LeaseLost } from '../../substrate/lease/held-work.js';
import type { BuildDetail, BuildIntent, BuildPlan, BuildState, BuildStatus, Built } from './dataset.schema.js';

/** The right to work on one build, until somebody else has it. */
export interface Lease {
  readonly planId: Digest;
  readonly token: number;
}

export interface Asked {
  readonly intent: BuildIntent;
  readonly digest: Digest;
  readonly planId: Digest;
  readonly plan: BuildPlan;
  readonly actor: Actor;
}

const TERMINAL = "('DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED')";
const ENDED: ReadonlySet<BuildState> = new Set(['DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED']);

const SELECT = `select p.number, p.plan_id, p.plan, p.actor, p.at, l.state, l.detail, l.at as changed_at
  from plans as p
  join lateral (select state, detail, at from states as s where s.plan_id = p.plan_id order by seq desc limit 1) as l on true`;

interface StoredRow {
  readonly number: number;
  readonly plan_id: Digest;
  readonly plan: BuildPlan;
  readonly actor: Actor;
  readonly at: UtcMicros;
  readonly state: BuildState;
  readonly detail: BuildDetail;
  readonly changed_at: UtcMicros;
}

export function hasEnded(state: BuildState): boolean {
  return ENDED.has(state);
}

/** Requests, plans and where each build got to: facts, but for the leases. */
@Injectable()
export class OfflineFeatureShadowStore {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }

  /** The plan that was made of a request, and the digest of what was asked for. */
  async requested(requestId: string): Promise<{ readonly digest: Digest; readonly planId: Digest } | null> {
    return await requestedIn(this.database, requestId);
  }

  /**
   * Notes the request and, where it is the first for its plan or the build had failed, puts the build in the queue.
   * @returns the request that stands: another's where two came at once
   */
  async accept({
    intent,
    digest,
    planId,
    plan,
    actor,
  }: Asked): Promise<{ readonly digest: Digest; readonly planId: Digest }> {
    return await this.database.transaction(async (transaction) => {
      const at = this.now();
      const by = canonicalJson(actor);
      const { count } = await transaction.query(
        `insert into requests (request_id, intent_digest, intent, plan_id, actor, at)
         values ($1, $2, $3::jsonb, $4, $5::jsonb, $6) on conflict do nothing`,
        [intent.request_id, digest, canonicalJson(intent), planId, by, at],
      );
      const standing = await requestedIn(transaction, intent.request_id);
      if (count === 0 && standing !== null) return standing;
      await transaction.query(
        `insert into plans (plan_id, run_id, plan, actor, at) values ($1, $2, $3::jsonb, $4::jsonb, $5)
         on conflict (plan_id) do nothing`,
        [planId, plan.pins.run_id, canonicalJson(plan), by, at],
      );
      const last = await this.#lockedState(transaction, planId);
      if (last === null || (last !== 'DONE' && hasEnded(last)))
        await this.#append(transaction, planId, 'QUEUED', {}, null);
      return { digest, planId };
    });
  }

  async find(planId: Digest): Promise<BuildStatus | null> {
    const { rows } = await this.database.query<StoredRow>({ text: `${SELECT} where p.plan_id = $1`, readOnly: true }, [
      planId,
    ]);
    return rows[0] === undefined ? null : statusOf(rows[0]);
  }

  /** Youngest first. */
  async list(query: {
    readonly limit: number;
    readonly before?: number;
    readonly runId?: string;
  }): Promise<readonly { readonly number: number; readonly build: BuildStatus }[]> {
    const { rows } = await this.database.query<StoredRow>(
      {
        text: `${SELECT} where ($2::bigint is null or p.number < $2) and ($3::text is null or p.run_id = $3)
               order by p.number desc limit $1`,
        readOnly: true,
      },
      [query.limit, query.before ?? null, query.runId ?? null],
    );
    return rows.map((row) => ({ number: row.number, build: statusOf(row) }));
  }

  async history(planId: Digest): Promise<readonly { readonly state: BuildState; readonly at: UtcMicros }[]> {
    const { rows } = await this.database.query<{ state: BuildState; at: UtcMicros }>(
      { text: 'select state, at from states where plan_id = $1 order by seq', readOnly: true },
      [planId],
    );
    return rows;
  }

  /** @returns false where the build has ended already */
  async cancel(planId: Digest, actor: Actor): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      const last = await this.#lockedState(transaction, planId);
      if (last === null || hasEnded(last)) return false;
      await this.#append(transaction, planId, 'CANCELLED', {}, null, actor);
      return true;
    });
  }

  /** Builds that need the bus itself: those that may read nothing else, until they end, and those that have begun to read it. */
  async readingTheBus(): Promise<readonly { readonly planId: Digest; readonly plan: BuildPlan }[]> {
    const { rows } = await this.database.query<{ plan_id: Digest; plan: BuildPlan }>(
      {
        text: `select b.plan_id, b.plan from (${SELECT}) as b
               where b.state not in ${TERMINAL}
                 and (b.plan ->> 'source' = 'bus' or (b.plan ->> 'source' = 'auto' and b.state <> 'QUEUED'))
               order by b.number`,
        readOnly: true,
      },
      [],
    );
    return rows.map(({ plan_id, plan }) => ({ planId: plan_id, plan }));
  }

  /** Builds that have not ended and that nobody works on, the longest waiting first. */
  async idle(limit: number): Promise<readonly Digest[]> {
    const { rows } = await this.database.query<{ plan_id: Digest }>(
      {
        text: `select b.plan_id from (${SELECT}) as b left join leases on leases.plan_id = b.plan_id
               where b.state not in ${TERMINAL} and (leases.plan_id is null or leases.expires_at <= clock_timestamp())
               order by b.number limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows.map(({ plan_id }) => plan_id);
  }

  /** The lease, unless somebody else holds one that has not run out; the database's clock says so, which all share. */
  async acquire(planId: Digest, holder: string, leaseMs: number): Promise<Lease | null> {
    const { rows } = await this.database.query<{ token: number }>(
      `insert into leases as l (plan_id, token, holder, expires_at)
       values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3 / 1000.0))
       on conflict (plan_id) do update
         set token = l.token + 1, holder = excluded.holder, expires_at = excluded.expires_at
         where l.expires_at <= clock_timestamp()
       returning token`,
      [planId, holder, leaseMs],
    );
    const token = rows[0]?.token;
    return token === undefined ? null : { planId, token };
  }

  /** @throws LeaseLost */
  async renew(lease: Lease, leaseMs: number): Promise<void> {
    const { count } = await this.database.query(
      `update leases set expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where plan_id = $1 and token = $2`,
      [lease.planId, lease.token, leaseMs],
    );
    if (count === 0) throw new LeaseLost(`build ${lease.planId}`, lease.token);
  }

  /** The row stays, so that the next token is a higher one. */
  async release({ planId, token }: Lease): Promise<void> {
    await this.database.query(`update leases set expires_at = '-infinity' where plan_id = $1 and token = $2`, [
      planId,
      token,
    ]);
  }

  /** A step of the holder. @returns false where the build has ended meanwhile: it was cancelled. @throws LeaseLost */
  async advance(lease: Lease, state: BuildState, detail: BuildDetail = {}): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      const last = await this.#lockedState(transaction, lease.planId);
      if (last !== null && hasEnded(last)) return false;
      if (last !== state) await this.#append(transaction, lease.planId, state, detail, lease.token);
      return true;
    });
  }

  async built(planId: Digest): Promise<Built | null> {
    const { rows } = await this.database.query<{ receipt: Built }>(
      { text: `select receipt from stages where plan_id = $1 and stage = 'BUILT'`, readOnly: true },
      [planId],
    );
    return rows[0]?.receipt ?? null;
  }

  /** What was built, once. @throws LeaseLost */
  async keepBuilt(lease: Lease, built: Built): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      await transaction.query(
        `insert into stages (plan_id, stage, receipt, token, at) values ($1, 'BUILT', $2::jsonb, $3, $4)
         on conflict do nothing`,
        [lease.planId, canonicalJson(built), lease.token, this.now()],
      );
    });
  }

  /** The plan's row is the lock: states of a build get their places one after the other. */
  async #lockedState(transaction: Transaction, planId: Digest): Promise<BuildState | null> {
    await transaction.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [planId]);
    const { rows } = await transaction.query<{ state: BuildState }>(
      'select state from states where plan_id = $1 order by seq desc limit 1',
      [planId],
    );
    return rows[0]?.state ?? null;
  }

  async #append(
    transaction: Transaction,
    planId: Digest,
    state: BuildState,
    detail: BuildDetail,
    token: number | null,
    actor: Actor | null = null,
  ): Promise<void> {
    await transaction.query(
      `insert into states (plan_id, seq, state, detail, token, actor, at)
       select $1, coalesce(max(seq), 0) + 1, $2, $3::jsonb, $4, $5::jsonb, $6 from states where plan_id = $1`,
      [planId, state, canonicalJson(detail), token, actor === null ? null : canonicalJson(actor), this.now()],
    );
  }
}

async function requestedIn(
  queryable: Queryable,
  requestId: string,
): Promise<{ readonly digest: Digest; readonly planId: Digest } | null> {
  const { rows } = await queryable.query<{ intent_digest: Digest; plan_id: Digest }>(
    'select intent_digest, plan_id from requests where request_id = $1',
    [requestId],
  );
  return rows[0] === undefined ? null : { digest: rows[0].intent_digest, planId: rows[0].plan_id };
}

/** Shared, so that it waits for a take-over under way and holds the next one up until this transaction ends. */
async function demandLease(transaction: Queryable, lease: Lease): Promise<void> {
  const { count } = await transaction.query('select from leases where plan_id = $1 and token = $2 for share', [
    lease.planId,
    lease.token,
  ]);
  if (count === 0) throw new LeaseLost(`build ${lease.planId}`, lease.token);
}

function statusOf({ plan_id, plan, actor, at, state, detail, changed_at }: StoredRow): BuildStatus {
  return {
    ...{ dataset_manifest_id: plan_id, kind: plan.kind, run_id: plan.pins.run_id, state, detail },
    ...{ requested_at_utc: at, requested_by: actor, changed_at_utc: changed_at, plan },
  };
}
