import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { BuildJobs } from '../../src/modules/offline-feature-shadow/build.job.js';
import { BuildPace } from '../../src/modules/offline-feature-shadow/build-pace.js';
import { DatasetBuild } from '../../src/modules/offline-feature-shadow/dataset-build.js';
import { DatasetObjects } from '../../src/modules/offline-feature-shadow/dataset-reader.js';
import type {
  BuildIntent,
  BuildStatus,
  DatasetManifest,
} from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import { OfflineFeatureShadowService } from '../../src/modules/offline-feature-shadow/offline-feature-shadow.service.js';
import { OfflineFeatureShadowStore } from '../../src/modules/offline-feature-shadow/offline-feature-shadow.store.js';
import type { LabelStorePort } from '../../src/modules/label-store/label-store.port.js';
import { canonicalJson, digestCanonical, type JsonObject } from '../../src/rails/canonical-json.js';
import type { Digest } from '../../src/rails/digest.js';
import type { Offset, TopicName } from '../../src/rails/eb-ref.js';
import { asEnvelope, payloadHash } from '../../src/rails/envelope.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { FeatureSnapshot } from '../../src/rails/features/snapshot.js';
import type { RunPins } from '../../src/rails/pins.js';
import type { SealedPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import { About } from '../../src/substrate/about.js';
import type { Bus, BusRecord } from '../../src/substrate/bus/bus.port.js';
import { EmbeddedBus } from '../../src/substrate/bus/embedded.bus.js';
import type { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import type { Tampering } from '../../src/substrate/objects/contract/kit.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { freshTopic } from '../support/kafka-log.js';
import { filesHarness, s3Harness } from '../support/objects-harness.js';
import { renamed } from '../support/renamed-bus.js';
import { putLiveRun } from '../support/run-facts.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { openArchive } from './archive.kit.js';
import { decidedEvent } from './case-workbench.kit.js';
import { DEFINITIONS, GROUPS } from './decision-fabric.kit.js';
import { CONTROL, labelOf, openPlane, type Plane, TRAFFIC } from './feature-plane.kit.js';
import { AdmittedEvents, ANALYST, openLabels } from './label-store.kit.js';

/** `npm run build:test` compiles it. */
const PROGRAM = join(process.cwd(), '.build/src/modules/offline-feature-shadow/build.worker.js');
export const START_MICROS = Date.UTC(2018, 3, 1) * 1_000;
export const at = (second: number) => fromEpochMicros(START_MICROS + second * 1e6);

export interface ShadowGround {
  readonly bus: Bus;
  readonly objects: Objects;
  readonly tamper: (key: string, tampering: Tampering) => Promise<void>;
  readonly database: (schema: 'ofs' | 'label_store' | 'ofp' | 'ieg' | 'gov') => Database;
  readonly close: () => Promise<void>;
}

/**
 * On what `npm ci` brings, or on Postgres, Kafka and S3; topics are the test's own.
 * @param shared a server for several grounds, each with a database of its own; its opener closes it
 */
export async function openShadowGround(kind: 'embedded' | 'external', shared?: TestPostgres): Promise<ShadowGround> {
  const postgres = shared ?? (await openTestPostgres(kind));
  const schemas = ['ofs', 'label_store', 'ofp', 'ieg', 'gov'];
  const place = await postgres.fresh({ schemas: kind === 'embedded' ? ['bus', ...schemas] : schemas });
  const opened =
    kind === 'embedded'
      ? await EmbeddedBus.open({ database: place.forSchema(schemaName('bus')), clock: new SystemClock() })
      : await openKafka();
  const bus =
    kind === 'embedded' ? opened : renamed(renamed(opened, CONTROL, freshTopic('ofs')), TRAFFIC, freshTopic('ofs'));
  await bus.ensureTopics(
    [TRAFFIC, CONTROL].map((topic) => ({ topic, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null })),
  );
  // An archive has a store of its own: its paths are the same in each.
  const store =
    kind === 'embedded' ? await filesHarness() : await s3Harness(`probity-shadow-${randomUUID().slice(0, 8)}`);
  const objects = await store.open();
  return {
    bus,
    objects,
    tamper: (key, tampering) => store.tamper(key as never, tampering),
    database: (schema) => place.forSchema(schemaName(schema)),
    close: async () => {
      await objects.close();
      await store.close();
      await opened.close();
      await place.drop();
      if (shared === undefined) await postgres.close();
    },
  };
}

export interface Paid {
  readonly id: string;
  readonly second: number;
  readonly card?: string;
  readonly terminal?: string;
  readonly amount?: number;
}

/** Decisions as they may come: with all features, with some forbidden, or with none. */
export type Served = 'all' | 'masked' | 'stale' | 'none';

/** A run of payments and labels on the bus, decided by what the real feature plane served. */
export class DecidedRun {
  readonly events = new AdmittedEvents();
  readonly snapshots = new Map<string, FeatureSnapshot>();
  readonly paid: JsonObject[] = [];
  #plane: Plane | undefined;
  #writers = 0;

  private constructor(
    readonly ground: ShadowGround,
    readonly pins: RunPins,
  ) {}

  static async open(ground: ShadowGround): Promise<DecidedRun> {
    const key = `shadow ${randomUUID()}`;
    return new DecidedRun(ground, await putLiveRun(ground.objects, { key, scenario: 'shadow' }));
  }

  paymentOf({ id, second, card = 'card-1', terminal = 'till-1', amount = 500 }: Paid): JsonObject {
    return {
      ...this.pins,
      event_id: id,
      event_type: 'transaction',
      schema_version: 'v1',
      producer: 'shop',
      ts_utc: at(second),
      payload: {
        transaction_id: id,
        amount_minor: amount,
        currency: 'EUR',
        card_id: card,
        customer_id: `of-${card}`,
        terminal_id: terminal,
        merchant_id: `of-${terminal}`,
      },
    };
  }

  /** Puts a payment on its card's partition, and the decision on it behind it. @param change what is on the bus and was not seen by the plane */
  async pay(paid: Paid, served: Served = 'all', change: JsonObject = {}): Promise<void> {
    const envelope = this.paymentOf(paid);
    const partition = (paid.card ?? 'card-1').length % 2;
    const standing = { ...envelope, payload: { ...(envelope['payload'] as JsonObject), ...change } };
    this.events.add(this.pins.run_id, paid.id, at(paid.second));
    this.paid.push(standing);
    const offset = await this.#append(TRAFFIC, partition, standing);
    if (served === 'none') return;
    const plane = await this.#catchUp({ partition, offset, envelope });
    const groups = served === 'masked' ? GROUPS.filter((name) => !MASKED.includes(name)) : GROUPS;
    const { results } = await plane.service.snapshots(
      {
        pins: this.pins,
        triggers: [
          {
            ...{ event_id: paid.id, event_type: 'transaction', ts_utc: at(paid.second), partition, offset },
            payload: envelope['payload'] as JsonObject,
          } as never,
        ],
        groups: [...groups],
        wait_ms: 0,
      },
      { signal: new AbortController().signal },
    );
    const [answer] = results;
    if (answer?.status !== 'SERVED') throw new Error(`the plane answers ${answer?.status ?? 'nothing'}`);
    const snapshot = answer.snapshot as FeatureSnapshot;
    this.snapshots.set(paid.id, snapshot);
    await this.#append(TRAFFIC, partition, this.#decision(paid, partition, offset, envelope, served, snapshot));
  }

  /** A label fact on the control topic: what features count. */
  async label(target: string, second: number, isFraud = true): Promise<void> {
    await this.#append(
      CONTROL,
      0,
      JSON.parse(JSON.stringify(labelOf(this.pins, target, second, isFraud))) as JsonObject,
    );
    // Offsets decide what a basis counts: those of the plane go with those of the log.
    if (this.#plane !== undefined) await this.#catchUp();
  }

  #decision(
    { id, second }: Paid,
    partition: number,
    offset: Offset,
    envelope: JsonObject,
    served: Served,
    snapshot: FeatureSnapshot,
  ): JsonObject {
    const features =
      served === 'stale'
        ? { status: 'STALE_BEYOND_TOLERANCE', reason: 'OFP_STALE' }
        : {
            status: 'USED',
            feature_snapshot_hash: snapshot.feature_snapshot_hash,
            definitions: DEFINITIONS.policy_rev,
            groups: snapshot.groups.map(({ name, version, status }) => ({ name, version, status })),
            ...(served === 'masked' ? { forbidden_groups: MASKED } : {}),
            input_basis: snapshot.input_basis,
          };
    const event = decidedEvent(
      this.pins,
      digestCanonical({ decision: id, run: this.pins.run_id }),
      { outcome: 'APPROVE', event: id },
      {
        features,
        source_event: {
          event_id: id,
          event_type: 'transaction',
          ts_utc: at(second),
          payload_hash: payloadHash(asEnvelope(envelope)),
          eb_ref: { topic: TRAFFIC, partition, offset },
        },
      },
    );
    return JSON.parse(JSON.stringify(event)) as JsonObject;
  }

  /** The plane reads the log up to now; of one event it sees what it is told in place of what stands there. */
  async #catchUp(seen?: {
    readonly partition: number;
    readonly offset: Offset;
    readonly envelope: JsonObject;
  }): Promise<Plane> {
    const { bus, database } = this.ground;
    this.#plane ??= await openPlane(database('ofp'), DEFINITIONS.body as unknown as FeatureDefinitions);
    const plane = this.#plane;
    for (const topic of [TRAFFIC, CONTROL]) {
      for (const mark of await bus.marks(topic)) {
        const from = plane.engine.nextOf(mark) ?? mark.lowWater;
        if (from >= mark.highWater) continue;
        const reader = await bus.openReader([{ topic, partition: mark.partition, offset: from }]);
        let next: Offset = from;
        while (next < mark.highWater) {
          for (const batch of await reader.poll({ recordsMax: 1_000, waitMs: 1_000 })) {
            const records = batch.records.map((record): BusRecord => {
              const isIt = topic === TRAFFIC && seen?.partition === mark.partition && seen.offset === record.offset;
              return isIt ? { ...record, value: Buffer.from(canonicalJson(seen.envelope)) } : record;
            });
            await plane.engine.take({ ...batch, records });
            next = batch.nextOffset;
          }
        }
        await reader.close();
      }
    }
    return plane;
  }

  async #append(topic: TopicName, partition: number, envelope: JsonObject): Promise<Offset> {
    this.#writers += 1;
    const producer = await this.ground.bus.openProducer({ name: `shop-${this.pins.run_id}-${this.#writers}` });
    const value = Buffer.from(canonicalJson(envelope));
    const [appended] = await producer.append([{ topic, partition, records: [{ key: 'k', value, headers: {} }] }]);
    await producer.close();
    if (appended === undefined) throw new Error('nothing was appended');
    return appended.firstOffset;
  }
}

/** What a posture forbids in these tests. */
const MASKED = ['core_terminal', 'handbook_terminal'];

export interface ShadowOptions {
  readonly clock: ManualClock;
  readonly workers?: number;
  readonly version?: string;
  readonly definitions?: SealedPolicy;
  readonly objects?: Objects;
  readonly leaseMs?: number;
}

/** A process that runs the unit, with the label store beside it. */
export function openShadow(ground: ShadowGround, run: Pick<DecidedRun, 'pins' | 'events'>, options: ShadowOptions) {
  const { clock, workers = 1, version = '1.0.0', definitions = DEFINITIONS, objects = ground.objects } = options;
  const { bus } = ground;
  const { telemetry, metricsText } = recordedTelemetry();
  const labels = openLabels({ database: ground.database('label_store'), bus, objects }, run.events, clock);
  const port = { slice: labels.slice } as unknown as LabelStorePort;
  const policies = new StaticPolicies(new Map([['ofp.features', definitions]]));
  const about = new About(version, 'test', 1);
  const pace = Object.assign(new BuildPace(), { workers, program: PROGRAM, leaseMs: options.leaseMs ?? 15_000 });
  const store = new OfflineFeatureShadowStore(ground.database('ofs'), clock);
  const datasets = new DatasetObjects(objects);
  // What the archive is asked for goes over a port: here to the service itself.
  const archive = openArchive({
    database: ground.database('gov'),
    bus,
    objects,
    clock,
    topics: [TRAFFIC, CONTROL],
    policy: { chunk_records_max: 4 },
  });
  const build = new DatasetBuild(bus, objects, port, archive.service, policies, clock, pace);
  const jobs = new BuildJobs(store, build, datasets, pace, clock, telemetry, about);
  const service = new OfflineFeatureShadowService(store, datasets, jobs, bus, objects, policies, about);
  const ask = (change: Partial<BuildIntent> = {}) => service.accept({ ...intentOf(run.pins), ...change }, ANALYST);
  const advance = (id: string) => jobs.advance(id as Digest, new AbortController().signal);
  return {
    ...{ archive, labels, store, datasets, build, jobs, service, ask, advance, metricsText },
    /** To its end. */
    settled: async (change: Partial<BuildIntent> = {}): Promise<BuildStatus> => {
      const { build: asked } = await ask(change);
      await advance(asked.dataset_manifest_id);
      return await service.status(asked.dataset_manifest_id);
    },
    /** The rows of what was published, verified. */
    rowsOf: async (id: string): Promise<Published> => {
      const { manifest } = await service.dataset({ dataset_manifest_id: id as Digest });
      const [file] = manifest.built.materialisations;
      if (file === undefined) throw new Error('there are no rows');
      const bytes = await objects.read(file.ref);
      const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
      return { manifest: manifest, rows };
    },
  };
}

export interface Published {
  readonly manifest: DatasetManifest;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export function intentOf(pins: RunPins): BuildIntent {
  return { request_id: randomUUID(), kind: 'dataset_build', run_id: pins.run_id, basis: { at: 'head' } };
}

export const LABEL = { label_type: 'fraud_disposition' } as const;
