import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { BulkFindings } from '../../src/modules/case-workbench/bulk-findings.js';
import type { Case, Command } from '../../src/modules/case-workbench/case.schema.js';
import { CaseLabels } from '../../src/modules/case-workbench/case-labels.job.js';
import { CaseWorkbenchConsumer } from '../../src/modules/case-workbench/case-workbench.consumer.js';
import { CASES_POLICY } from '../../src/modules/case-workbench/case-workbench.policy.js';
import { CaseWorkbenchService } from '../../src/modules/case-workbench/case-workbench.service.js';
import { CaseWorkbenchStore } from '../../src/modules/case-workbench/case-workbench.store.js';
import type { AssertResult } from '../../src/modules/label-store/assertion.schema.js';
import type { LabelStorePort } from '../../src/modules/label-store/label-store.port.js';
import type { Actor } from '../../src/rails/actor.js';
import { digestText } from '../../src/rails/digest.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
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

/** A workbench over a database, with a run of its own, beside stand-ins of the units that it calls. */
export class CaseRig {
  readonly pins;
  readonly clock = new ManualClock();
  readonly labels = new Labels();
  /** Decisions that were admitted, and what each was about. */
  readonly known = new Map<string, string>();
  readonly unit: ReturnType<CaseRig['life']>;

  constructor(
    readonly database: Database,
    readonly run: number,
  ) {
    this.pins = pinsOf(run);
    this.unit = this.life();
  }

  /** A process of the unit; several share the database. */
  life(database = this.database) {
    const { clock, labels, pins, known } = this;
    const store = new CaseWorkbenchStore(database);
    const { telemetry, metricsText } = recordedTelemetry();
    const job = new CaseLabels(store, labels.port, policies, clock, telemetry);
    const gate = {
      receipts: ({ event_ids: [id] }: { event_ids: readonly string[] }) =>
        Promise.resolve({ receipts: [id === 'unknown' ? null : { event_id: id, pins }] }),
    };
    const sources = {
      eventsOf: (_: string, ids: readonly string[]) =>
        Promise.resolve(new Map(ids.flatMap((id) => (known.has(id) ? [[id, known.get(id) ?? ''] as const] : [])))),
    };
    const service = new CaseWorkbenchService(store, job, gate as never, policies, clock, telemetry);
    const consumer = new CaseWorkbenchConsumer(store, sources as never, policies, clock, telemetry);
    const bulk = new BulkFindings(store, job, policies, clock, telemetry);
    return { store, job, service, consumer, bulk, metricsText };
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
