import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { type AdmittedRecord, type AdmittedRecords } from '../../src/modules/case-workbench/admitted-records.js';
import { BulkFindings } from '../../src/modules/case-workbench/bulk-findings.js';
import type { Case, Command } from '../../src/modules/case-workbench/case.schema.js';
import { CaseActions } from '../../src/modules/case-workbench/case-actions.job.js';
import { CaseEvidence, EVIDENCE_PERMISSION } from '../../src/modules/case-workbench/case-evidence.js';
import { CaseExport, EXPORT_PERMISSION } from '../../src/modules/case-workbench/case-export.js';
import { CaseLabels } from '../../src/modules/case-workbench/case-labels.job.js';
import { CaseMarks } from '../../src/modules/case-workbench/case-marks.job.js';
import { CaseMarksStore } from '../../src/modules/case-workbench/case-marks.store.js';
import { CaseNeighbours } from '../../src/modules/case-workbench/case-neighbours.js';
import { CaseQuarantines } from '../../src/modules/case-workbench/case-quarantines.job.js';
import { CaseQuarantinesStore } from '../../src/modules/case-workbench/case-quarantines.store.js';
import { CaseWorkbenchConsumer } from '../../src/modules/case-workbench/case-workbench.consumer.js';
import { CASES_POLICY } from '../../src/modules/case-workbench/case-workbench.policy.js';
import { CaseWorkbenchService } from '../../src/modules/case-workbench/case-workbench.service.js';
import { CaseWorkbenchStore } from '../../src/modules/case-workbench/case-workbench.store.js';
import type { Quarantined } from '../../src/modules/decision-log-audit/decision-log-audit.port.js';
import type { Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { AssertResult } from '../../src/modules/label-store/assertion.schema.js';
import type { LabelStorePort } from '../../src/modules/label-store/label-store.port.js';
import type { Actor } from '../../src/rails/actor.js';
import { decisionIdRecipe } from '../../src/rails/decision/ids.js';
import { digestText } from '../../src/rails/digest.js';
import { payloadHash } from '../../src/rails/envelope.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { type SealedPolicy, sealPolicy } from '../../src/rails/policy-rev.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { PolicyAccess } from '../../src/substrate/identity/access.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { outgoing } from '../../src/substrate/rpc/outgoing.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { decidedEvent } from './case-workbench.kit.js';
import { recordOf } from './feature-plane.kit.js';
import { pinsOf } from './label-store.kit.js';

export const ANN: Actor = { actor_id: 'HUMAN::ann' as never, source_type: 'HUMAN', auth_mode: 'API_KEY' };
export const BOB: Actor = { ...ANN, actor_id: 'HUMAN::bob' as never };
const { body } = parse(readFileSync('profiles/local/policy/cases.workbench.yaml', 'utf8')) as { body: object };
export const policies = new StaticPolicies(
  new Map([[CASES_POLICY.policy_id, sealPolicy(CASES_POLICY.policy_id, 1, body as never)]]),
);

/** A label store as the workbench sees one: away, refusing, or with one label per handle. */
export class Labels {
  mode: 'away' | 'for now' | 'refusing' | 'well' = 'well';
  readonly asked: Readonly<Record<string, unknown>>[] = [];
  readonly taken = new Map<string, string>();

  get port(): LabelStorePort {
    return {
      assert: ({ labels }: { labels: readonly Readonly<Record<string, unknown>>[] }) => {
        if (this.mode === 'away') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'away'));
        this.asked.push(...labels);
        return Promise.resolve({ results: labels.map((label) => this.#answer(String(label['handle']))) });
      },
    } as unknown as LabelStorePort;
  }

  #answer(handle: string): AssertResult {
    const known = this.taken.get(handle);
    if (known !== undefined) return { outcome: 'DUPLICATE', label_id: known as never };
    if (this.mode === 'for now')
      return { outcome: 'REJECTED', code: 'LBL_RUN_UNKNOWN', detail: 'wait', retryable: true };
    if (this.mode === 'refusing')
      return { outcome: 'REJECTED', code: 'LBL_UNAUTHORIZED_WRITER', detail: 'no', retryable: false };
    const id = digestText(handle);
    this.taken.set(handle, id);
    return { outcome: 'ACCEPTED', label_id: id };
  }
}

/** The gate as the workbench sees one: away, putting off, refusing, or with one receipt per event. */
export class Gate {
  mode: 'away' | 'for now' | 'refusing' | 'well' = 'well';
  /** The very texts that were admitted, by event id. */
  readonly admitted = new Map<string, string>();
  submissions = 0;

  submit({ events }: { readonly events: readonly string[] }): Promise<object> {
    if (this.mode === 'away') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'away'));
    this.submissions += events.length;
    return Promise.resolve({ results: events.map((text) => this.#answer(text)) });
  }

  #answer(text: string): object {
    const { event_id } = JSON.parse(text) as { event_id: string };
    const receipt_id = digestText(`receipt of ${event_id}`);
    if (this.mode !== 'well') {
      const reason_codes = [this.mode === 'refusing' ? 'SCHEMA_FAIL' : 'RUN_NOT_READY'];
      return {
        decision: 'QUARANTINE',
        receipt_id,
        event_id,
        reason_codes,
        retryable: this.mode === 'for now',
        detail: 'x',
      };
    }
    const before = this.admitted.get(event_id);
    // Other content under an identity that is taken is what never must be sent.
    if (before !== undefined && before !== text) throw new Error('another event under the same id');
    this.admitted.set(event_id, text);
    return {
      decision: before === undefined ? 'ADMIT' : 'DUPLICATE',
      receipt_id,
      event_id,
      reason_codes: [],
      retryable: false,
    };
  }
}

/** The audit log as the workbench sees it: away, or with what it has quarantined in the order of its leaves. */
export class AuditLog {
  away = false;
  size = 0;
  readonly quarantinedLeaves: Quarantined['records'][number][] = [];

  quarantined({
    from_leaf: from,
    limit,
  }: {
    readonly from_leaf: number;
    readonly limit: number;
  }): Promise<Quarantined> {
    if (this.away) return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'away'));
    const records = this.quarantinedLeaves.filter(({ leaf }) => leaf >= from && leaf < this.size).slice(0, limit);
    const last = records.at(-1);
    return Promise.resolve({
      records,
      next_leaf: records.length === limit && last !== undefined ? last.leaf + 1 : Math.max(from, this.size),
    });
  }
}

/** A workbench over a database, with a run of its own, beside stand-ins of the units that it calls. */
export class CaseRig {
  readonly pins;
  readonly clock = new ManualClock();
  readonly labels = new Labels();
  readonly gate = new Gate();
  readonly log = new AuditLog();
  /** What the graph says to `neighbours`, or why it says nothing. */
  readonly graph = {
    neighbours: (_: object): Promise<object> => Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'away')),
  };
  /** What stands on the bus by the gate's receipts, by event id. */
  readonly standing = new Map<string, AdmittedRecord>();
  /** Decisions that were admitted, and what each was about. */
  readonly known = new Map<string, string>();
  readonly unit: ReturnType<CaseRig['life']>;

  constructor(
    readonly database: Database,
    readonly run: number,
    private readonly objects?: Objects,
  ) {
    this.pins = pinsOf(run);
    this.unit = this.life();
  }

  /** A process of the unit; several share the database. */
  life(database = this.database, policy?: SealedPolicy) {
    const { clock, labels, pins, known } = this;
    const store = new CaseWorkbenchStore(database);
    const { telemetry, metricsText } = recordedTelemetry();
    const job = new CaseLabels(store, labels.port, policies, clock, telemetry);
    const gate = {
      submit: async (request: { readonly events: readonly string[] }) => await this.gate.submit(request),
      receipts: ({ event_ids: [id] }: { event_ids: readonly string[] }) =>
        Promise.resolve({ receipts: [id === 'unknown' ? null : { event_id: id, pins }] }),
    };
    const sources = {
      eventsOf: (_: string, ids: readonly string[]) =>
        Promise.resolve(new Map(ids.flatMap((id) => (known.has(id) ? [[id, known.get(id) ?? ''] as const] : [])))),
    };
    const records = {
      find: (runId: string, ids: readonly string[]) =>
        Promise.resolve(
          new Map(ids.flatMap((id) => (this.#stands(runId, id) === undefined ? [] : [[id, this.#stands(runId, id)]]))),
        ),
    } as unknown as AdmittedRecords;
    const actions = new CaseActions(store, gate as never, records, clock, telemetry);
    const marks = new CaseMarks(new CaseMarksStore(database), records, policies, clock, telemetry);
    const service = new CaseWorkbenchService(store, job, actions, marks, gate as never, policies, clock, telemetry);
    const consumer = new CaseWorkbenchConsumer(store, sources as never, marks, policies, clock, telemetry);
    const inForce = policy === undefined ? policies : new StaticPolicies(new Map([[CASES_POLICY.policy_id, policy]]));
    const quarantines = new CaseQuarantines(
      ...([new CaseQuarantinesStore(database), store, this.log as never, sources as never, marks] as const),
      ...([inForce, clock, telemetry] as const),
    );
    const bulk = new BulkFindings(store, job, policies, clock, telemetry);
    const marksStore = new CaseMarksStore(database);
    const around = new CaseNeighbours(store, marksStore, this.graph as never, policies, clock);
    const access = new PolicyAccess({
      roles: { reader: ['cases.read', EVIDENCE_PERMISSION], looker: ['cases.read'], exporter: [EXPORT_PERMISSION] },
    });
    // A suite without objects reads none.
    const objects = this.objects as Objects;
    const evidence = new CaseEvidence(store, records, objects, access, policies, clock, telemetry);
    const exporter = new CaseExport(store, access, clock, telemetry);
    return {
      store,
      evidence,
      exporter,
      marks,
      around,
      job,
      service,
      consumer,
      bulk,
      actions,
      records,
      quarantines,
      metricsText,
    };
  }

  #stands(runId: string, id: string): AdmittedRecord | undefined {
    return runId === this.pins.run_id ? this.standing.get(id) : undefined;
  }

  /** A payment that was decided, both on the bus. @returns the decision's event */
  decides(event: string, outcome = 'QUEUE', payment: object = {}, change: object = {}): object {
    const payload = {
      transaction_id: `own-${event}`,
      amount_minor: 100,
      currency: 'EUR',
      card_id: 'card-1',
      ...payment,
    };
    const id = decisionIdRecipe.derive({ pins: this.pins, event_id: event, scope: 'payment' }) as string;
    const decision = decidedEvent(this.pins, id, { outcome, event }, change);
    const paid = { ...this.pins, event_id: event, event_type: 'transaction', schema_version: 'v1' };
    this.stands({ ...paid, producer: 'payments-api', ts_utc: '2026-01-01T00:00:00.000000Z', payload });
    this.stands(decision);
    return decision;
  }

  /** A record with its receipt. */
  stands(event: object): void {
    const value = recordOf(event, 0).value;
    const read = readEvent(value);
    if (!read.ok) throw new Error(read.says);
    const payload_hash = payloadHash(read.event.envelope);
    const receipt = { payload_hash, receipt_id: digestText(read.event.eventId), pins: this.pins } as unknown as Receipt;
    this.standing.set(read.event.eventId, { receipt, event: read.event, value });
  }

  async opened(key = 'open', event = `e-${this.run}`, by = ANN): Promise<Case> {
    const asked = { runId: this.pins.run_id, eventId: event, reason: 'looks odd', key };
    return (await this.unit.service.open(asked, by, outgoing(this.clock, 1_000))).case;
  }

  async does({ case_id }: Case, command: Command, key: string, seq?: number, by = ANN) {
    const asked = { command, idempotency_key: key, ...(seq === undefined ? {} : { expected_seq: seq }) };
    return await this.unit.service.command(case_id, asked, by);
  }

  async typesOf({ case_id }: Case): Promise<readonly string[]> {
    return (await this.unit.store.timeline(case_id)).map(({ type }) => type);
  }

  decided(outcome: string, event: string, change: object = {}): object {
    return decidedEvent(this.pins, digestText(`${event} ${outcome}`), { outcome, event }, change);
  }

  batchOf(offset: number, ...events: readonly (object | string)[]): RecordBatch {
    return {
      topic: 'fp.bus.traffic.v1' as never,
      partition: this.run,
      records: events.map((event, n) => recordOf(event, offset + n)),
      nextOffset: (offset + events.length) as never,
      highWater: (offset + events.length) as never,
    };
  }
}

export const FRAUD: Command = { type: 'SET_DISPOSITION', disposition: 'FRAUD', reason: 'card was stolen' };

/** A database that does some things otherwise. */
export function changed(database: Database, change: Partial<Pick<Database, 'query' | 'transaction'>>): Database {
  return {
    schema: database.schema,
    query: async (statement, values) => await database.query(statement, values),
    transaction: async (work, options) => await database.transaction(work, options),
    session: async () => await database.session(),
    ...change,
  };
}
