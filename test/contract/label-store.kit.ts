import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { STORE_POLICY, type StorePolicy } from '../../src/modules/label-store/label-store.policy.js';
import { LabelCounts } from '../../src/modules/label-store/label-counts.js';
import { LabelFeed } from '../../src/modules/label-store/label-feed.job.js';
import { SubmissionsStore } from '../../src/modules/label-store/submissions.store.js';
import { LabelSlices } from '../../src/modules/label-store/label-slices.js';
import { LabelStoreService } from '../../src/modules/label-store/label-store.service.js';
import { LabelStoreStore } from '../../src/modules/label-store/label-store.store.js';
import { LabelTargets } from '../../src/modules/label-store/label-targets.js';
import { LabelTeller } from '../../src/modules/label-store/label-teller.job.js';
import { LedgerStore } from '../../src/modules/label-store/ledger.store.js';
import type { IngestionGatePort, Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { Actor } from '../../src/rails/actor.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { asPins, type RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMs, type UtcMicros } from '../../src/rails/time.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { outgoing } from '../../src/substrate/rpc/outgoing.js';
import { recordedTelemetry } from '../support/telemetry.js';

export const ANALYST: Actor = { actor_id: 'HUMAN::ann' as never, source_type: 'HUMAN', auth_mode: 'API_KEY' };
/** A unit that has authenticated people itself. */
export const WORKBENCH: Actor = { actor_id: 'SYSTEM::workbench' as never, source_type: 'SYSTEM', auth_mode: 'API_KEY' };
export const BANK: Actor = { actor_id: 'SYSTEM::bank' as never, source_type: 'SYSTEM', auth_mode: 'API_KEY' };

/** The shipped vocabulary and rules, with three writers: a person, a bank, and a unit that writes for people. */
export const policy = sealPolicy('labels.store', 7, {
  ...(parse(readFileSync('profiles/local/policy/labels.store.yaml', 'utf8')) as { body: StorePolicy }).body,
  writers: [
    {
      namespace: 'analyst',
      principals: [ANALYST.actor_id],
      source_type: 'HUMAN',
      label_types: ['fraud_disposition', 'account_takeover'],
      target_kinds: ['EVENT', 'ENTITY'],
      may_supersede: 'any',
    },
    {
      namespace: 'workbench',
      principals: [WORKBENCH.actor_id],
      source_type: 'HUMAN',
      may_act_for_people: true,
      label_types: ['fraud_disposition'],
      target_kinds: ['EVENT'],
      may_supersede: 'own',
    },
    {
      namespace: 'bank',
      principals: [BANK.actor_id],
      source_type: 'EXTERNAL',
      label_types: ['fraud_disposition', 'chargeback_status'],
      target_kinds: ['EVENT'],
      may_supersede: 'own',
    },
  ],
} as never);

export function pinsOf(run: number): RunPins {
  const pins = asPins({
    manifest_fingerprint: 'a'.repeat(64),
    parameter_hash: 'b'.repeat(64),
    seed: '7',
    scenario_id: 'labels',
    run_id: run.toString(16).padStart(32, '0'),
  });
  return pins as RunPins;
}

/** The gate as labels see it: which events were admitted, and when they were. */
export class AdmittedEvents {
  readonly #admitted = new Map<string, UtcMicros>();

  add(runId: string, eventId: string, ts: UtcMicros): void {
    this.#admitted.set(`${runId} ${eventId}`, ts);
  }

  get gate(): IngestionGatePort {
    return {
      receipts: ({ run_id = '', event_ids }: { run_id?: string; event_ids: readonly string[] }) =>
        Promise.resolve({
          receipts: event_ids.map((event_id) => {
            const ts_utc = this.#admitted.get(`${run_id} ${event_id}`);
            return ts_utc === undefined ? null : ({ event_id, ts_utc } as unknown as Receipt);
          }),
        }),
    } as unknown as IngestionGatePort;
  }
}

export interface LabelGround {
  readonly database: Database;
  readonly bus: Bus;
  readonly objects: Objects;
}

/** A process that runs the unit, with a clock of its own. */
export function openLabels(
  { database, bus, objects }: LabelGround,
  events: AdmittedEvents,
  clock: Clock,
  ledger = new LedgerStore(database),
) {
  const { telemetry, metricsText } = recordedTelemetry();
  const store = new LabelStoreStore(database);
  const teller = new LabelTeller(ledger, database, bus, clock, telemetry);
  const policies = new StaticPolicies(new Map([[STORE_POLICY.policy_id, policy]]));
  const targets = new LabelTargets(store, events.gate);
  const slices = new LabelSlices(ledger, objects);
  const submissions = new SubmissionsStore(database);
  const feed = new LabelFeed(store, ledger, submissions, teller, objects, policies, clock, telemetry);
  const counts = new LabelCounts(store, submissions, feed);
  const service = new LabelStoreService(
    ...([ledger, store, targets, teller, slices, submissions, counts, policies, clock, telemetry] as const),
  );
  const context = outgoing(clock, 10_000);
  let offset = 0;
  return {
    store,
    ledger,
    teller,
    metricsText,
    append: async (labels: readonly object[], actor: Actor = ANALYST) => await service.append(labels, actor, context),
    counts: async (runId: string, idsMax = 20) => await service.counts({ run_id: runId as never, ids_max: idsMax }),
    refused: async (...given: Parameters<LabelStoreService['refused']>) => await service.refused(...given),
    slice: async (request: Parameters<LabelStoreService['slice']>[0]) => await service.slice(request),
    asOf: async (request: Parameters<LabelStoreService['asOf']>[0]) => await service.asOf(request),
    /** A run that is READY, with or without labels of its own on their way. */
    ready: async (pins: RunPins, state: 'NONE' | 'WAITING' | 'REFUSED' = 'NONE') => {
      offset += 1;
      await store.take(
        {
          topic: asTopicName('fp.bus.control.v1'),
          partition: Number(`0x${pins.run_id.slice(-6)}`),
          nextOffset: offset as never,
        },
        [{ pins, traffic_outputs: ['transactions'], state, detail: null, output_id: null, rows_total: 0 }],
        fromEpochMs(clock.nowMs()),
      );
    },
  };
}
