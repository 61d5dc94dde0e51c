import { Injectable } from '@nestjs/common';
import type { Actor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';
import { LeaseLost } from '../../substrate/lease/held-work.js';
import { hasEnded, isAtRest, isCancellable, isForward, mayBeTriedAgain } from './train-run.core.js';
import type {
  Published,
  Resolved,
  RunDetail,
  RunState,
  RunStatus,
  Trained,
  TrainPlan,
  TrainRequest,
} from './train-run.schema.js';

/** The right to work on one run, until somebody else has it. */
export interface Lease {
  readonly runId: Digest;
  readonly token: number;
}

export interface Asked {
  readonly request: TrainRequest;
  readonly digest: Digest;
  readonly runId: Digest;
  readonly plan: TrainPlan;
  readonly publish: boolean;
  readonly actor: Actor;
}

export interface Standing {
  readonly digest: Digest;
  readonly runId: Digest;
}

/** A stage with what it came to. */
interface Receipts {
  readonly RESOLVED: Resolved;
  readonly TRAINED: Trained;
  readonly PUBLISHED: Published;
}

const AT_REST = `(l.state in ('PUBLISHED', 'REJECTED_INPUTS', 'FAILED_GATES', 'FAILED_CONFLICT', 'FAILED_RETRY_EXHAUSTED', 'CANCELLED')
  or (l.state = 'GATED' and not w.publish))`;
const SELECT = `select r.number, r.train_run_id, r.plan, r.actor, r.at, l.state, l.detail, l.at as changed_at,
    w.publish, w.tries, w.last_code,
    (select count(*)::integer from states as t where t.train_run_id = r.train_run_id and t.state = 'TRAINING') as trainings,
    (select jsonb_object_agg(g.stage, g.receipt) from stages as g where g.train_run_id = r.train_run_id) as receipts
  from runs as r
  join work as w on w.train_run_id = r.train_run_id
  join lateral (select state, detail, at from states as s where s.train_run_id = r.train_run_id order by seq desc limit 1) as l on true`;

interface StoredRow {
  readonly number: number;
  readonly train_run_id: Digest;
  readonly plan: TrainPlan;
  readonly actor: Actor;
  readonly at: UtcMicros;
  readonly state: RunState;
  readonly detail: RunDetail;
  readonly changed_at: UtcMicros;
  readonly publish: boolean;
  readonly tries: number;
  readonly last_code: string | null;
  readonly trainings: number;
  readonly receipts: Partial<Receipts> | null;
}

/** Requests, runs and where each got to: facts, but for who works on what. */
@Injectable()
export class ModelFactoryStore {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }

  /** The run that was made of a request, and the digest of what was asked for. */
  async requested(requestId: string): Promise<Standing | null> {
    return await requestedIn(this.database, requestId);
  }

  /**
   * Notes the request and, where it is the first for its run, or asks for more than what came of it, puts the run in the queue.
   * @returns the request that stands: another's where two came at once
   */
  async accept({ request, digest, runId, plan, publish, actor }: Asked): Promise<Standing> {
    return await this.database.transaction(async (transaction) => {
      const at = this.now();
      const by = canonicalJson(actor);
      const { count } = await transaction.query(
        `insert into requests (request_id, request_digest, request, train_run_id, actor, at)
         values ($1, $2, $3::jsonb, $4, $5::jsonb, $6) on conflict do nothing`,
        [request.request_id, digest, canonicalJson(request), runId, by, at],
      );
      const standing = await requestedIn(transaction, request.request_id);
      if (count === 0 && standing !== null) return standing;
      await transaction.query(
        `insert into runs (train_run_id, plan, actor, at) values ($1, $2::jsonb, $3::jsonb, $4)
         on conflict (train_run_id) do nothing`,
        [runId, canonicalJson(plan), by, at],
      );
      await transaction.query(
        `insert into work as w (train_run_id, token, holder, expires_at, publish, tries, due_at)
         values ($1, 0, '', '-infinity', $2, 0, $3)
         on conflict (train_run_id) do update
           set publish = w.publish or excluded.publish, tries = 0, last_code = null, due_at = excluded.due_at`,
        [runId, publish, at],
      );
      const last = await lockedState(transaction, runId);
      if (last === null || mayBeTriedAgain(last)) await append(transaction, runId, 'QUEUED', {}, null, at);
      return { digest, runId };
    });
  }

  async find(runId: Digest): Promise<RunStatus | null> {
    const { rows } = await this.database.query<StoredRow>(
      { text: `${SELECT} where r.train_run_id = $1`, readOnly: true },
      [runId],
    );
    return rows[0] === undefined ? null : statusOf(rows[0]);
  }

  /** Youngest first. */
  async list(query: {
    readonly limit: number;
    readonly before?: number;
  }): Promise<readonly { readonly number: number; readonly run: RunStatus }[]> {
    const { rows } = await this.database.query<StoredRow>(
      { text: `${SELECT} where ($2::bigint is null or r.number < $2) order by r.number desc limit $1`, readOnly: true },
      [query.limit, query.before ?? null],
    );
    return rows.map((row) => ({ number: row.number, run: statusOf(row) }));
  }

  async history(runId: Digest): Promise<readonly { readonly state: RunState; readonly at: UtcMicros }[]> {
    const { rows } = await this.database.query<{ state: RunState; at: UtcMicros }>(
      { text: 'select state, at from states where train_run_id = $1 order by seq', readOnly: true },
      [runId],
    );
    return rows;
  }

  /** @returns false where the run has ended, or may be in the registry already */
  async cancel(runId: Digest, actor: Actor): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      const last = await lockedState(transaction, runId);
      if (last === null || !isCancellable(last)) return false;
      await append(transaction, runId, 'CANCELLED', {}, null, this.now(), actor);
      return true;
    });
  }

  /** Runs that are not at rest, that are due, and that nobody works on; the longest waiting first. */
  async idle(limit: number): Promise<readonly Digest[]> {
    const { rows } = await this.database.query<{ train_run_id: Digest }>(
      {
        text: `select r.train_run_id from runs as r
               join work as w on w.train_run_id = r.train_run_id
               join lateral (select state from states as s where s.train_run_id = r.train_run_id order by seq desc limit 1) as l on true
               where not ${AT_REST} and w.expires_at <= clock_timestamp() and w.due_at <= $2
               order by r.number limit $1`,
        readOnly: true,
      },
      [limit, this.now()],
    );
    return rows.map(({ train_run_id }) => train_run_id);
  }

  /** Runs that are not at rest, by state. */
  async pending(): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.database.query<{ state: string; count: number }>({
      text: `select l.state, count(*)::integer as count from runs as r
             join work as w on w.train_run_id = r.train_run_id
             join lateral (select state from states as s where s.train_run_id = r.train_run_id order by seq desc limit 1) as l on true
             where not ${AT_REST} group by l.state`,
      readOnly: true,
    });
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  }

  /** The lease, unless somebody else holds one that has not run out; the database's clock says so, which all share. */
  async acquire(runId: Digest, holder: string, leaseMs: number): Promise<Lease | null> {
    const { rows } = await this.database.query<{ token: number }>(
      `update work set token = token + 1, holder = $2, expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where train_run_id = $1 and expires_at <= clock_timestamp() returning token`,
      [runId, holder, leaseMs],
    );
    const token = rows[0]?.token;
    return token === undefined ? null : { runId, token };
  }

  /** @throws LeaseLost */
  async renew(lease: Lease, leaseMs: number): Promise<void> {
    const { count } = await this.database.query(
      `update work set expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where train_run_id = $1 and token = $2`,
      [lease.runId, lease.token, leaseMs],
    );
    if (count === 0) throw new LeaseLost(`run ${lease.runId}`, lease.token);
  }

  async release({ runId, token }: Lease): Promise<void> {
    await this.database.query(`update work set expires_at = '-infinity' where train_run_id = $1 and token = $2`, [
      runId,
      token,
    ]);
  }

  /**
   * A step of the holder; one that was taken before is not taken again, but for a training that begins anew.
   * @returns false where the run has ended meanwhile: it was cancelled
   * @throws LeaseLost
   */
  async advance(lease: Lease, state: RunState, detail: RunDetail = {}): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      const last = await lockedState(transaction, lease.runId);
      if (last === null || hasEnded(last)) return false;
      if (!isForward(last, state) && state !== 'TRAINING') return true;
      await append(transaction, lease.runId, state, detail, lease.token, this.now());
      return true;
    });
  }

  /** Not now: the next try is due after the wait. @throws LeaseLost */
  async postpone(lease: Lease, code: string, waitMs: number): Promise<void> {
    const { count } = await this.database.query(
      `update work set tries = tries + 1, last_code = $3, due_at = $4 where train_run_id = $1 and token = $2`,
      [lease.runId, lease.token, code, fromEpochMs(this.clock.nowMs() + waitMs)],
    );
    if (count === 0) throw new LeaseLost(`run ${lease.runId}`, lease.token);
  }

  /** What a stage came to, once: the first one stands. Whatever failed before is forgotten then. @throws LeaseLost */
  async keep<Stage extends keyof Receipts>(
    lease: Lease,
    stage: Stage,
    receipt: Receipts[Stage],
  ): Promise<Receipts[Stage]> {
    return await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      const { count } = await transaction.query(
        `insert into stages (train_run_id, stage, receipt, token, at) values ($1, $2, $3::jsonb, $4, $5)
         on conflict do nothing`,
        [lease.runId, stage, canonicalJson(receipt), lease.token, this.now()],
      );
      if (count > 0)
        await transaction.query('update work set tries = 0, last_code = null where train_run_id = $1', [lease.runId]);
      const { rows } = await transaction.query<{ receipt: Receipts[Stage] }>(
        'select receipt from stages where train_run_id = $1 and stage = $2',
        [lease.runId, stage],
      );
      return rows[0]?.receipt ?? receipt;
    });
  }
}

/** States of a run get their places one after the other. */
async function lockedState(transaction: Transaction, runId: Digest): Promise<RunState | null> {
  await transaction.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [runId]);
  const { rows } = await transaction.query<{ state: RunState }>(
    'select state from states where train_run_id = $1 order by seq desc limit 1',
    [runId],
  );
  return rows[0]?.state ?? null;
}

async function append(
  transaction: Transaction,
  runId: Digest,
  state: RunState,
  detail: RunDetail,
  token: number | null,
  at: UtcMicros,
  actor: Actor | null = null,
): Promise<void> {
  await transaction.query(
    `insert into states (train_run_id, seq, state, detail, token, actor, at)
     select $1, coalesce(max(seq), 0) + 1, $2, $3::jsonb, $4, $5::jsonb, $6 from states where train_run_id = $1`,
    [runId, state, canonicalJson(detail), token, actor === null ? null : canonicalJson(actor), at],
  );
}

async function requestedIn(queryable: Queryable, requestId: string): Promise<Standing | null> {
  const { rows } = await queryable.query<{ request_digest: Digest; train_run_id: Digest }>(
    'select request_digest, train_run_id from requests where request_id = $1',
    [requestId],
  );
  return rows[0] === undefined ? null : { digest: rows[0].request_digest, runId: rows[0].train_run_id };
}

/** Shared, so that it waits for a take-over under way and holds the next one up until this transaction ends. */
async function demandLease(transaction: Queryable, lease: Lease): Promise<void> {
  const { count } = await transaction.query('select from work where train_run_id = $1 and token = $2 for update', [
    lease.runId,
    lease.token,
  ]);
  if (count === 0) throw new LeaseLost(`run ${lease.runId}`, lease.token);
}

function statusOf(row: StoredRow): RunStatus {
  const { train_run_id, plan, actor, at, state, detail, changed_at, publish, trainings, tries, last_code } = row;
  const { RESOLVED = null, TRAINED = null, PUBLISHED = null } = row.receipts ?? {};
  return {
    ...{ train_run_id, kind: plan.kind, state, detail, at_rest: isAtRest(state, publish), publish, trainings },
    ...{ tries, last_code, requested_at_utc: at, requested_by: actor, changed_at_utc: changed_at, plan },
    ...{ resolved: RESOLVED, trained: TRAINED, published: PUBLISHED },
  };
}
