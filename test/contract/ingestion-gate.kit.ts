import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AdmissionGate } from '../../src/modules/ingestion-gate/ingestion-gate.admission.js';
import { type SubmissionContext } from '../../src/modules/ingestion-gate/ingestion-gate.gate.js';
import {
  type AdmissionPolicy,
  AdmissionPolicySchema,
  TRAFFIC_TOPIC,
} from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { Evidence } from '../../src/modules/ingestion-gate/evidence.js';
import { LedgerStore } from '../../src/modules/ingestion-gate/ledger/ledger.store.js';
import { ReceiptsStore } from '../../src/modules/ingestion-gate/ledger/receipts.store.js';
import { Reconciler } from '../../src/modules/ingestion-gate/reconciliation.js';
import { systemActor } from '../../src/rails/actor.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { type JsonObject } from '../../src/rails/canonical-json.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { validatorOf } from '../../src/rails/validator.js';
import { About } from '../../src/substrate/about.js';
import { type Bus, type BusRecord } from '../../src/substrate/bus/bus.port.js';
import { fromEverywhere, readAll } from '../../src/substrate/bus/contract/kit.js';
import { type Clock } from '../../src/substrate/clock/clock.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { type Database } from '../../src/substrate/database/database.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { type Principal } from '../../src/substrate/identity/identity.port.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { Policies, type PolicyInForce, type PolicyKind } from '../../src/substrate/policy/policy.port.js';
import { BUS_SCHEMA, openEmbeddedBus } from '../support/bus.js';
import { type TestDatabase, type TestDatabaseAddress, type TestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import { openStore, type StoreSpec } from '../support/objects-store.js';
import { renamed } from '../support/renamed-bus.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';

export const IG_SCHEMA = schemaName('ig');
export const TOPIC = asTopicName(TRAFFIC_TOPIC);

const policies = validatorOf(AdmissionPolicySchema, 'the policy');

export function asPolicy(body: unknown): AdmissionPolicy {
  return policies.demand(body);
}

export const POLICY: AdmissionPolicy = asPolicy({
  producers: {
    'payments-api': { principals: ['SYSTEM::edge'], event_types: ['transaction', 'unheard_of'], scenarios: ['*'] },
    wsp: { principals: ['SYSTEM::wsp'], event_types: ['transaction'], scenarios: ['shop.*'] },
  },
  event_types: {
    transaction: { class: 'traffic', schema_versions: ['v1'], partition_key: ['card_id', 'account_id'] },
  },
  partitioning_profile: 'payer.v1',
  limits: { event_bytes_max: 16_384, throttle_bytes: 32_000_000, pause_bytes: 64_000_000 },
  quarantine: { keep_raw: true },
});

/** A policy whose revision a test can raise while the gate works. */
export class TestPolicies extends Policies {
  #inForce: unknown;

  constructor(body: AdmissionPolicy = POLICY) {
    super();
    this.activate(1, body);
  }

  activate(revision: number, body: AdmissionPolicy = POLICY): void {
    this.#inForce = sealPolicy('ig.admission', revision, body as unknown as JsonObject);
  }

  /** As when no policy was ever brought into force. */
  withdraw(): void {
    this.#inForce = undefined;
  }

  inForce<Schema extends PolicyKind['schema']>(): PolicyInForce<Schema> {
    if (this.#inForce === undefined) throw new TypeError('no policy is in force');
    return this.#inForce as PolicyInForce<Schema>;
  }

  revisions(): never {
    throw new TypeError('nobody asks here');
  }
}

export function caller(name: string): Principal {
  return { actor: systemActor(name), keyId: `key-of-${name}`, roles: [] };
}

export function by(name = 'edge'): SubmissionContext {
  return { principal: caller(name), trace: ROOT_CONTEXT, signal: new AbortController().signal };
}

export interface GateParts {
  readonly bus: Bus;
  readonly database: Database;
  readonly objects: Objects;
  readonly clock?: Clock;
  readonly policies?: Policies;
  readonly telemetry?: RecordedTelemetry;
}

/** A gate as its module wires it. Who opens it calls `onModuleDestroy`. */
export async function openGate({
  bus,
  database,
  objects,
  clock = new SystemClock(),
  policies = new TestPolicies(),
  telemetry = recordedTelemetry('ingestion-gate'),
}: GateParts): Promise<AdmissionGate> {
  const gate = new AdmissionGate(
    policies,
    clock,
    bus,
    telemetry.telemetry,
    new ReceiptsStore(database, clock),
    new Evidence(objects),
    new Reconciler(bus, database, clock, policies),
    new LedgerStore(database),
    objects,
    new About('1.2.3', 'test', process.pid),
  );
  await gate.onModuleInit();
  return gate;
}

/** Everything that a gate stands on. */
export interface GateGround {
  readonly bus: Bus;
  readonly objects: Objects;
  readonly database: Database;
  /** Runs SQL as the administrator, past every guard. */
  readonly administrate: (text: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface EmbeddedGround extends GateGround {
  readonly place: TestDatabase;
  readonly folder: string;
}

export async function embeddedGround(postgres: TestPostgres, partitions = 4): Promise<EmbeddedGround> {
  const place = await postgres.fresh({ schemas: [BUS_SCHEMA, IG_SCHEMA] });
  const { bus, close } = await openEmbeddedBus(place);
  await bus.ensureTopics([{ topic: TOPIC, partitions, recordBytesMax: 1_048_576, retentionMs: null }]);
  const folder = await temporaryFolder();
  const objects = await openStore({ kind: 'files', folder });
  return {
    bus,
    objects,
    place,
    folder,
    database: place.forSchema(IG_SCHEMA),
    administrate: (text) => place.administrate(text),
    close: async () => {
      await close();
      await objects.close();
      await place.drop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Every record of the traffic topic. */
export async function onBus(bus: Bus): Promise<readonly BusRecord[]> {
  return [...(await readAll(bus, await fromEverywhere(bus, TOPIC))).values()].flat();
}

export interface RealGround extends GateGround {
  readonly place: TestDatabaseAddress;
  readonly store: StoreSpec;
  /** The topic on Kafka that stands for the traffic topic. */
  readonly topic: string;
}

/** Real servers: Kafka, a Postgres database of its own, S3. Each ground has a topic that no other has. */
export async function realGround(postgres: TestPostgres, partitions = 4): Promise<RealGround> {
  const place = await postgres.fresh({ schemas: [IG_SCHEMA] });
  const kafka = await openKafka();
  const topic = asTopicName(`contract.traffic.${randomBytes(6).toString('hex')}`);
  const bus = renamed(kafka, TOPIC, topic);
  await bus.ensureTopics([{ topic: TOPIC, partitions, recordBytesMax: 1_048_576, retentionMs: null }]);
  const folder = await temporaryFolder();
  const store: StoreSpec = { kind: 's3', options: s3Options({ spoolFolder: folder }) };
  const objects = await openStore(store);
  const { address, admin, roleSecret } = place;
  return {
    bus,
    objects,
    store,
    topic,
    place: { address, admin, roleSecret },
    database: place.forSchema(IG_SCHEMA),
    administrate: (text) => place.administrate(text),
    close: async () => {
      await kafka.close();
      await objects.close();
      await place.drop();
      await rm(folder, { recursive: true });
    },
  };
}
