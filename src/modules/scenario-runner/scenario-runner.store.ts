import { Injectable } from '@nestjs/common';
import { canonicalJson, type JsonObject } from '../../rails/canonical-json.js';
import { asOffset, asTopicName, type EbRef } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Ref } from '../../rails/ref.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';
import type { SealStatus } from './sealed-world.js';
import { demandStep, type Verdict } from './scenario-runner.core.js';
import type { RunEvent, RunEventName, RunIntent } from './scenario-runner.documents.js';
import type { RunReason, RunState } from './scenario-runner.port.js';

/** A run as its row has it. */
export interface RunRow {
  readonly intent: RunIntent;
  readonly state: RunState;
  readonly changedAt: UtcMicros;
  readonly reasons: readonly RunReason[];
  readonly detail: string | null;
  readonly attempts: number;
  readonly since: UtcMicros;
  readonly plan: Ref | null;
  readonly engineTimeoutMs: number | null;
  readonly engine: SealStatus | null;
  readonly factsView: Ref | null;
  readonly messageId: string | null;
  readonly verdict: Verdict | null;
  readonly settled: boolean;
  readonly supersededBy: string | null;
}

/** What a step changes; what is absent stays. */
export interface RunChange {
  readonly state?: RunState;
  readonly reasons?: readonly RunReason[];
  /** For people; empty when there is nothing more to say. */
  readonly detail?: string;
  readonly attempts?: number;
  readonly since?: UtcMicros;
  readonly plan?: Ref;
  readonly engineTimeoutMs?: number;
  readonly engine?: SealStatus;
  readonly factsView?: Ref;
  readonly messageId?: string;
  readonly verdict?: Verdict;
  readonly settled?: true;
}

export interface NewEvent {
  readonly event: RunEventName;
  readonly data?: JsonObject;
}

/** The right to advance one run, until somebody else has it. */
export interface Lease {
  readonly runId: string;
  readonly token: number;
  readonly holder: string;
}

/** Thrown by a write under a token that is no longer the latest: whoever gets it stops at once. */
export class LeaseLost extends Error {
  constructor(readonly lease: Lease) {
    super(`the lease of run ${lease.runId} with token ${lease.token} was taken over`);
    this.name = 'LeaseLost';
  }
}

interface StoredRow {
  readonly request: string;
  readonly state: RunState;
  readonly changed_at: UtcMicros;
  readonly reasons: readonly RunReason[];
  readonly detail: string | null;
  readonly attempts: number;
  readonly since: UtcMicros;
  readonly plan: Ref | null;
  readonly engine_timeout_ms: number | null;
  readonly engine: SealStatus | null;
  readonly facts_view: Ref | null;
  readonly message_id: string | null;
  readonly verdict: Verdict | null;
  readonly settled: boolean;
  readonly superseded_by: string | null;
}

const SELECT = `select r.request, r.state, r.changed_at, r.reasons, r.detail, r.attempts, r.since, r.plan,
    r.engine_timeout_ms, r.engine, r.facts_view, r.message_id, r.verdict, r.settled, s.run_id as superseded_by
  from runs as r left join supersessions as s on s.superseded_run_id = r.run_id`;

/** Columns of a change, by its members: names are ours, values travel beside the text. */
const COLUMNS: Readonly<Record<keyof RunChange, string>> = {
  state: 'state',
  reasons: 'reasons',
  detail: 'detail',
  attempts: 'attempts',
  since: 'since',
  plan: 'plan',
  engineTimeoutMs: 'engine_timeout_ms',
  engine: 'engine',
  factsView: 'facts_view',
  messageId: 'message_id',
  verdict: 'verdict',
  settled: 'settled',
};
const AS_JSON: ReadonlySet<keyof RunChange> = new Set(['plan', 'engine', 'factsView']);

/** Runs, their events and leases. Every write that advances a run checks its lease in the same transaction. */
@Injectable()
export class ScenarioRunnerStore {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }

  async find(runId: string): Promise<RunRow | null> {
    const { rows } = await this.database.query<StoredRow>({ text: `${SELECT} where r.run_id = $1`, readOnly: true }, [
      runId,
    ]);
    return rows[0] === undefined ? null : rowOf(rows[0]);
  }

  /**
   * Makes the row of a run that was accepted, once. The second superseder of a run is accepted, too, and then fails: its
   * request stands already.
   */
  async accept(intent: RunIntent): Promise<{ readonly isNew: boolean }> {
    const { pins, request } = intent;
    return await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query(
        `insert into runs (run_id, run_equivalence_key, intent_fingerprint, kind, manifest_fingerprint, parameter_hash,
           seed, scenario_id, request, requested_at, state, changed_at, since)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'OPEN', $11, $11) on conflict do nothing`,
        [
          pins.run_id,
          request.run_equivalence_key,
          intent.intent_fingerprint,
          intent.kind,
          pins.manifest_fingerprint,
          pins.parameter_hash,
          pins.seed,
          pins.scenario_id,
          canonicalJson(intent),
          intent.requested_at_utc,
          this.now(),
        ],
      );
      if (count === 0) return { isNew: false };
      const { intent_fingerprint, requested_by } = intent;
      await this.#append(transaction, pins.run_id, [
        { event: 'RUN_ACCEPTED', data: { intent_fingerprint, requested_by: requested_by.actor_id } },
      ]);
      if (request.supersedes !== undefined) await this.#supersede(transaction, pins.run_id, request.supersedes);
      return { isNew: true };
    });
  }

  async #supersede(
    transaction: Transaction,
    runId: string,
    { run_id: old, reason }: { readonly run_id: string; readonly reason: string },
  ): Promise<void> {
    const { count } = await transaction.query(
      `insert into supersessions (superseded_run_id, run_id, reason, at) values ($1, $2, $3, $4)
       on conflict do nothing`,
      [old, runId, reason, this.now()],
    );
    if (count === 0) return;
    await this.#append(transaction, runId, [{ event: 'SUPERSEDES', data: { run_id: old, reason } }]);
    await this.#append(transaction, old, [{ event: 'SUPERSEDED_BY', data: { run_id: runId, reason } }]);
  }

  /** Which run supersedes this one. */
  async supersededBy(runId: string): Promise<string | null> {
    const { rows } = await this.database.query<{ run_id: string }>(
      { text: 'select run_id from supersessions where superseded_run_id = $1', readOnly: true },
      [runId],
    );
    return rows[0]?.run_id ?? null;
  }

  /** Events that change nothing about the run: whoever notes them needs no lease. */
  async note(runId: string, ...events: readonly NewEvent[]): Promise<void> {
    await this.database.transaction((transaction) => this.#append(transaction, runId, events));
  }

  /**
   * One step of a run: state and events in one transaction, under the lease.
   * @throws LeaseLost; INTERNAL for a step that goes back
   */
  async advance(
    lease: Lease,
    change: RunChange,
    events: readonly NewEvent[] = [],
    also?: (transaction: Transaction) => Promise<void>,
  ): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await demandLease(transaction, lease);
      const { rows } = await transaction.query<{ state: RunState }>(
        'select state from runs where run_id = $1 for update',
        [lease.runId],
      );
      const from = rows[0]?.state;
      if (from === undefined) throw new ProbityError('INTERNAL', `run ${lease.runId} has no row`);
      if (change.state !== undefined && change.state !== from) demandStep(from, change.state);
      await updateRow(transaction, lease.runId, this.now(), change);
      await this.#append(transaction, lease.runId, events);
      await also?.(transaction);
    });
  }

  /** The events of a run, in order. */
  async events(runId: string): Promise<readonly RunEvent[]> {
    const { rows } = await this.database.query<{ seq: number; at: UtcMicros; event: RunEventName; data: JsonObject }>(
      { text: 'select seq, at, event, data from run_events where run_id = $1 order by seq', readOnly: true },
      [runId],
    );
    return rows.map(({ seq, at, event, data }) => ({ seq, at_utc: at, event, data }));
  }

  /** The lease, unless somebody else holds one that has not run out; the database's clock says so, which all share. */
  async acquire(runId: string, holder: string, leaseMs: number): Promise<Lease | null> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<{ token: number }>(
        `insert into leases as l (run_id, token, holder, expires_at)
         values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3 / 1000.0))
         on conflict (run_id) do update
           set token = l.token + 1, holder = excluded.holder, expires_at = excluded.expires_at
           where l.expires_at <= clock_timestamp()
         returning token`,
        [runId, holder, leaseMs],
      );
      const token = rows[0]?.token;
      if (token === undefined) return null;
      await this.#append(transaction, runId, [{ event: 'LEASE_ACQUIRED', data: { holder, token } }]);
      return { runId, token, holder };
    });
  }

  /** @throws LeaseLost */
  async renew(lease: Lease, leaseMs: number): Promise<void> {
    const { count } = await this.database.query(
      `update leases set expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
       where run_id = $1 and token = $2`,
      [lease.runId, lease.token, leaseMs],
    );
    if (count === 0) throw new LeaseLost(lease);
  }

  /** The row stays, so that the next token is a higher one. */
  async release(lease: Lease): Promise<void> {
    await this.database.query(`update leases set expires_at = '-infinity' where run_id = $1 and token = $2`, [
      lease.runId,
      lease.token,
    ]);
  }

  /** Runs that still need something and that nobody advances, the longest waiting first. */
  async idle(limit: number): Promise<readonly string[]> {
    const { rows } = await this.database.query<{ run_id: string }>(
      {
        text: `select r.run_id from runs as r left join leases as l on l.run_id = r.run_id
          where not r.settled and (l.run_id is null or l.expires_at <= clock_timestamp())
          order by r.requested_at, r.run_id limit $1`,
        readOnly: true,
      },
      [limit],
    );
    return rows.map(({ run_id }) => run_id);
  }

  /** The seal on which runs of this world stand, or null when none has come out complete yet. */
  async sealOf(manifestFingerprint: string): Promise<string | null> {
    const { rows } = await this.database.query<{ seal_digest: string }>(
      { text: 'select seal_digest from world_seals where manifest_fingerprint = $1', readOnly: true },
      [manifestFingerprint],
    );
    return rows[0]?.seal_digest ?? null;
  }

  /** Within the step that decides READY. False when another seal of this world stands. */
  async keepSeal(
    transaction: Transaction,
    { manifestFingerprint, seal, runId }: { manifestFingerprint: string; seal: string; runId: string },
  ): Promise<boolean> {
    await transaction.query(
      `insert into world_seals (manifest_fingerprint, seal_digest, run_id, at) values ($1, $2, $3, $4)
       on conflict do nothing`,
      [manifestFingerprint, seal, runId, this.now()],
    );
    const { rows } = await transaction.query<{ seal_digest: string }>(
      'select seal_digest from world_seals where manifest_fingerprint = $1',
      [manifestFingerprint],
    );
    return rows[0]?.seal_digest === seal;
  }

  async signalOf(messageId: string): Promise<EbRef | null> {
    const { rows } = await this.database.query<{ topic: string; partition: number; record_offset: number }>(
      { text: 'select topic, partition, record_offset from signals where message_id = $1', readOnly: true },
      [messageId],
    );
    const row = rows[0];
    if (row === undefined) return null;
    return { topic: asTopicName(row.topic), partition: row.partition, offset: asOffset(row.record_offset) };
  }

  /** The first place of the signal on the bus; a repetition is not noted again. */
  async keepSignal(transaction: Transaction, messageId: string, runId: string, at: EbRef): Promise<void> {
    await transaction.query(
      `insert into signals (message_id, run_id, topic, partition, record_offset, at) values ($1, $2, $3, $4, $5, $6)
       on conflict do nothing`,
      [messageId, runId, at.topic, at.partition, at.offset, this.now()],
    );
  }

  /** Youngest first, after the run that the page before ended with. */
  async page({
    limit,
    state,
    after,
  }: {
    readonly limit: number;
    readonly state: RunState | null;
    readonly after: { readonly at: string; readonly runId: string } | null;
  }): Promise<readonly RunRow[]> {
    const { rows } = await this.database.query<StoredRow>(
      {
        text: `${SELECT}
          where ($2::text is null or r.state = $2)
            and ($3::timestamptz is null or (r.requested_at, r.run_id) < ($3, $4))
          order by r.requested_at desc, r.run_id desc limit $1`,
        readOnly: true,
      },
      [limit, state, after?.at ?? null, after?.runId ?? null],
    );
    return rows.map(rowOf);
  }

  /** The lock on the run's row gives the events of a run their places one after the other. */
  async #append(transaction: Transaction, runId: string, events: readonly NewEvent[]): Promise<void> {
    if (events.length === 0) return;
    await transaction.query('select from runs where run_id = $1 for update', [runId]);
    await transaction.query(
      `insert into run_events (run_id, seq, at, event, data)
       select $1, last.seq + e.number, $2, e.event, e.data::jsonb
       from (select coalesce(max(seq), 0) as seq from run_events where run_id = $1) as last,
         unnest($3::text[], $4::text[]) with ordinality as e (event, data, number)`,
      [runId, this.now(), events.map(({ event }) => event), events.map(({ data = {} }) => canonicalJson(data))],
    );
  }
}

/** Shared, so that it waits for a take-over under way and holds the next one up until this transaction ends. */
async function demandLease(transaction: Queryable, lease: Lease): Promise<void> {
  const { count } = await transaction.query('select from leases where run_id = $1 and token = $2 for share', [
    lease.runId,
    lease.token,
  ]);
  if (count === 0) throw new LeaseLost(lease);
}

async function updateRow(transaction: Queryable, runId: string, at: UtcMicros, change: RunChange): Promise<void> {
  const members = (Object.keys(COLUMNS) as (keyof RunChange)[]).filter((member) => change[member] !== undefined);
  if (members.length === 0) return;
  const values = members.map((member) => (AS_JSON.has(member) ? canonicalJson(change[member]) : change[member]));
  const assignments = ['changed_at = $2', ...members.map((member, index) => `${COLUMNS[member]} = $${index + 3}`)];
  await transaction.query(`update runs set ${assignments.join(', ')} where run_id = $1`, [runId, at, ...values]);
}

function rowOf(row: StoredRow): RunRow {
  return {
    // Written by `accept` from a document that was checked.
    intent: JSON.parse(row.request) as RunIntent,
    state: row.state,
    changedAt: row.changed_at,
    reasons: row.reasons,
    detail: row.detail,
    attempts: row.attempts,
    since: row.since,
    plan: row.plan,
    engineTimeoutMs: row.engine_timeout_ms,
    engine: row.engine,
    factsView: row.facts_view,
    messageId: row.message_id,
    verdict: row.verdict,
    settled: row.settled,
    supersededBy: row.superseded_by,
  };
}
