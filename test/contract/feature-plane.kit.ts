import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { FeatureEngine } from '../../src/modules/feature-plane/feature-plane.engine.js';
import { FEATURES_POLICY } from '../../src/modules/feature-plane/feature-plane.port.js';
import { FeatureRebuilds } from '../../src/modules/feature-plane/feature-plane.rebuilds.js';
import { FeaturePlaneService } from '../../src/modules/feature-plane/feature-plane.service.js';
import { FeaturePlaneStore } from '../../src/modules/feature-plane/feature-plane.store.js';
import type { ReplaySources } from '../../src/modules/run-operate/replay.port.js';
import { systemActor } from '../../src/rails/actor.js';
import type { Offset, TopicName } from '../../src/rails/eb-ref.js';
import type { EventId } from '../../src/rails/envelope.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { labelIdOf } from '../../src/rails/labels/target.js';
import { asPins, type RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import type { BusRecord, RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { NOWHERE } from '../support/no-rebuilds.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';

/** Traffic and labels as the bus holds them, without a bus: batches are delivered as a test says. */

export const TRAFFIC = 'fp.bus.traffic.v1' as TopicName;
export const CONTROL = 'fp.bus.control.v1' as TopicName;
const START_MICROS = Date.UTC(2018, 3, 1) * 1_000;

export function runPins(name: string): RunPins {
  return asPins({
    manifest_fingerprint: 'a'.repeat(64),
    parameter_hash: 'b'.repeat(64),
    seed: '7',
    scenario_id: name,
    run_id: Buffer.from(name.padEnd(16, '.')).toString('hex'),
  }) as RunPins;
}

export interface Payment {
  readonly id: string;
  readonly second: number;
  readonly customer: string;
  readonly terminal: string;
  readonly amount: number;
}

export function envelopeOf(pins: RunPins, { id, second, customer, terminal, amount }: Payment): object {
  return {
    ...pins,
    event_id: id,
    event_type: 'transaction',
    schema_version: 'v1',
    producer: 'wsp',
    ts_utc: fromEpochMicros(START_MICROS + second * 1e6),
    payload: {
      transaction_id: id,
      amount_minor: amount,
      currency: 'EUR',
      customer_id: customer,
      terminal_id: terminal,
    },
  };
}

export function labelOf(pins: RunPins, target: string, observedSecond: number, isFraud = true): object {
  const observed_at_utc = fromEpochMicros(START_MICROS + observedSecond * 1e6);
  const label_value = isFraud ? 'FRAUD_CONFIRMED' : 'LEGIT_CONFIRMED';
  const of = { kind: 'EVENT', event_id: target as EventId } as const;
  const [label_type, namespace, handle] = ['fraud_disposition', 'test', `${label_value} ${observed_at_utc}`];
  const label_id = labelIdOf({ pins, target: of, label_type, namespace, handle });
  return {
    ...pins,
    event_id: label_id,
    event_type: 'label',
    schema_version: 'v2',
    producer: 'label-store',
    ts_utc: observed_at_utc,
    payload: {
      label_id,
      ledger_seq: 1,
      target: of,
      label_type,
      label_value,
      effective_at_utc: observed_at_utc,
      observed_at_utc,
      recorded_at_utc: observed_at_utc,
      source: { type: 'SYSTEM', namespace, actor: systemActor('labels') },
      policy_rev: sealPolicy('labels.feed', 1, {}).policy_rev,
    },
  };
}

export function recordOf(envelope: object | string, offset: number): BusRecord {
  const text = typeof envelope === 'string' ? envelope : JSON.stringify(envelope);
  return { key: 'k', value: Buffer.from(text), headers: {}, offset: offset as Offset, appendedAtMs: 0 };
}

/** A partition of a topic: records at rising offsets, with gaps where a test wants them. */
export interface Log {
  readonly topic: TopicName;
  readonly partition: number;
  readonly records: readonly BusRecord[];
}

export function batchOf({ topic, partition, records }: Log, from: number, count: number): RecordBatch {
  const some = records.filter(({ offset }) => offset >= from).slice(0, count);
  const last = some.at(-1);
  const end = (records.at(-1)?.offset ?? -1) + 1;
  return {
    topic,
    partition,
    records: some,
    nextOffset: (last === undefined ? from : last.offset + 1) as Offset,
    highWater: end as Offset,
  };
}

export interface Plane {
  readonly engine: FeatureEngine;
  readonly service: FeaturePlaneService;
  readonly rebuilds: FeatureRebuilds;
  readonly clock: ManualClock;
  readonly telemetry: RecordedTelemetry;
}

/** The groups of the shipped artifact that have one of these names. */
export function shippedDefinitions(...names: readonly string[]): FeatureDefinitions {
  const file = join(process.cwd(), 'profiles/local/policy/ofp.features.yaml');
  const { body } = parse(readFileSync(file, 'utf8')) as { body: FeatureDefinitions };
  return { ...body, groups: body.groups.filter(({ name }) => names.includes(name)) };
}

export const HANDBOOK = ['handbook_transaction', 'handbook_customer', 'handbook_terminal'] as const;

export async function openPlane(
  database: Database,
  definitions: FeatureDefinitions = shippedDefinitions(...HANDBOOK),
  { bus, objects }: ReplaySources = NOWHERE,
): Promise<Plane> {
  const policy = sealPolicy('ofp.features', 1, definitions as never);
  const policies = new StaticPolicies(new Map([[FEATURES_POLICY.policy_id, policy]]));
  const clock = new ManualClock();
  const telemetry = recordedTelemetry();
  const store = new FeaturePlaneStore(database);
  const engine = new FeatureEngine(store, clock, telemetry.telemetry, policies);
  await engine.onModuleInit();
  const rebuilds = new FeatureRebuilds(engine, store, bus, objects, clock, telemetry.telemetry);
  return { engine, service: new FeaturePlaneService(engine, rebuilds), rebuilds, clock, telemetry };
}

/** Delivers everything from where the memory stands, in an order that `choose` picks. */
export async function drain(
  plane: Plane,
  logs: readonly Log[],
  choose: (count: number) => number,
  batchRecords = 7,
): Promise<void> {
  const open = [...logs];
  while (open.length > 0) {
    const at = choose(open.length);
    const log = open[at];
    if (log === undefined) throw new Error('no such log');
    const from = plane.engine.nextOf(log) ?? 0;
    const batch = batchOf(log, from, batchRecords);
    if (batch.records.length === 0) open.splice(at, 1);
    else await plane.engine.take(batch);
  }
}
