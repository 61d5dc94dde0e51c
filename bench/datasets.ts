import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildPace } from '../src/modules/offline-feature-shadow/build-pace.js';
import { planIdOf } from '../src/modules/offline-feature-shadow/build-plan.core.js';
import { DatasetBuild } from '../src/modules/offline-feature-shadow/dataset-build.js';
import type { BuildPlan } from '../src/modules/offline-feature-shadow/dataset.schema.js';
import { CONTROL, resolveBasis, TRAFFIC } from '../src/modules/offline-feature-shadow/replay-basis.js';
import { readRunFacts } from '../src/modules/scenario-runner/run-facts.port.js';
import { advance, type Basis, basisRecord } from '../src/rails/basis.js';
import { canonicalJson, digestCanonical } from '../src/rails/canonical-json.js';
import { asEnvelope, payloadHash } from '../src/rails/envelope.js';
import type { FeatureEvent } from '../src/rails/features/event-table.js';
import { FeatureState } from '../src/rails/features/feature-state.js';
import { planOf } from '../src/rails/features/plan.js';
import { snapshotOf } from '../src/rails/features/snapshot.js';
import type { RunPins } from '../src/rails/pins.js';
import { sealPolicy } from '../src/rails/policy-rev.js';
import { fromEpochMicros } from '../src/rails/time.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import type { Bus, BusProducer } from '../src/substrate/bus/bus.port.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { ownMigrationsFolder } from '../src/substrate/database/migrations/migration.files.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { StaticPolicies } from '../src/substrate/policy/policy.port.js';
import { decidedEvent } from '../test/contract/case-workbench.kit.js';
import { HANDBOOK, shippedDefinitions } from '../test/contract/feature-plane.kit.js';
import { seeded } from '../test/support/kafka-log.js';
import { putLiveRun } from '../test/support/run-facts.js';
import { type Bench, type BenchResult, timingOf } from './harness.js';

/** The handbook's file has 872,795. */
const PAYMENTS = Number(process.env['PROBITY_BENCH_PAYMENTS'] ?? 200_000);
const [CUSTOMERS, TERMINALS, PER_DAY, PARTITIONS, BATCH] = [5_000, 10_000, 4_770, 4, 500];
const BASE_MICROS = Date.UTC(2018, 3, 1) * 1_000;

const definitions = shippedDefinitions(...HANDBOOK);
const policy = sealPolicy('ofp.features', 1, definitions as never);

/**
 * A run of payments on the embedded bus, with decisions and without, rebuilt into fifteen features by one process and by two. Without labels: those are the label
 * store's time.
 */
export const bench: Bench = async (note) => {
  const folder = mkdtempSync(join(tmpdir(), 'probity bench-'));
  const clock = new SystemClock();
  const server = await openEmbeddedServer({
    component: 'bench',
    clock,
    migrationsFolders: [ownMigrationsFolder()],
    dataFolder: join(folder, 'postgres'),
  });
  let bus: EmbeddedBus | undefined;
  try {
    await server.migrate([schemaName('bus')]);
    bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
    const topics = [TRAFFIC, CONTROL].map((topic) => ({ topic, partitions: PARTITIONS }));
    await bus.ensureTopics(topics.map((each) => ({ ...each, recordBytesMax: 1_048_576, retentionMs: null })));
    const objects = await FilesObjects.open(join(folder, 'objects'), clock);
    const results: BenchResult[] = [];
    for (const isDecided of [false, true]) {
      const pins = await putLiveRun(objects, { key: `bench ${String(isDecided)}`, scenario: 'bench' });
      await fill(bus, pins, isDecided);
      const facts = await readRunFacts(objects, pins.run_id);
      if (facts === null) throw new Error('the run is not READY');
      const { start, end } = await resolveBasis(bus, { at: 'head' });
      const digests = new Set<string>();
      for (const workers of [1, 2]) {
        const policies = new StaticPolicies(new Map([['ofp.features', policy]]));
        const pace = Object.assign(new BuildPace(), { workers });
        const store = await FilesObjects.open(join(folder, `objects ${String(isDecided)} ${workers}`), clock);
        await putLiveRun(store, { key: `bench ${String(isDecided)}`, scenario: 'bench' });
        const build = new DatasetBuild(bus, store, undefined as never, undefined as never, policies, clock, pace);
        const plan: BuildPlan = {
          ...{ kind: 'dataset_build', pins, facts_view_digest: facts.ready.facts_view.digest.hex },
          ...{ replay_start: start, replay_basis: basisRecord(end), label: null, definitions: policy.policy_rev },
          ...{ source: 'bus', feature_groups: [...HANDBOOK], rows: {}, anchor: 'auto', sampling: null, splits: [] },
          code_release: { version: 'bench', dataset_format: 1 },
        };
        const memory = watchMemory();
        const beganMs = performance.now();
        const built = await build.make(planIdOf(plan), plan, new AbortController().signal);
        const tookMs = performance.now() - beganMs;
        const peak = memory.end();
        const [file] = built.materialisations;
        digests.add(file?.ref.digest.hex ?? '');
        if (built.rows_kept !== PAYMENTS || built.parity.outcome !== (isDecided ? 'MATCH' : 'NO_DECISIONS'))
          throw new Error(JSON.stringify(built.parity));
        const what = `${isDecided ? 'as served' : 'without decisions'}, ${workers} worker${workers === 1 ? '' : 's'}`;
        note(
          `${what}: ${PAYMENTS.toLocaleString('en')} rows at ${Math.round((PAYMENTS / tookMs) * 1_000).toLocaleString('en')}/s; ${Math.round((file?.ref.size ?? 0) / 1e6)} MB of Parquet; at the most ${peak.worker} MiB per worker, ${peak.parent} MiB in the process that asks.`,
        );
        results.push({ name: what, timing: timingOf([tookMs]) });
      }
      note(digests.size === 1 ? 'Both files have one digest.' : 'THE FILES DIFFER.');
    }
    return results;
  } finally {
    await bus?.close();
    await server.close(5_000);
    rmSync(folder, { recursive: true, force: true });
  }
};

async function fill(bus: Bus, pins: RunPins, isDecided: boolean): Promise<void> {
  const random = seeded(7);
  const producer = await bus.openProducer({ name: `bench-${pins.run_id}` });
  const state = new FeatureState(planOf(definitions));
  let basis: Basis = (await resolveBasis(bus, { at: 'head' })).end;
  for (let from = 0; from < PAYMENTS; from += BATCH) {
    const envelopes = Array.from({ length: Math.min(BATCH, PAYMENTS - from) }, (_, at) =>
      paymentOf(pins, from + at, random),
    );
    const partitionOf = (n: number): number => n % PARTITIONS;
    const placed = await append(
      producer,
      envelopes.map((envelope, at) => ({ partition: partitionOf(at), envelope })),
    );
    if (!isDecided) continue;
    const events = placed.map(({ envelope, partition, offset }): FeatureEvent => {
      const { event_id, event_type, payload } = envelope;
      return {
        eventId: event_id,
        eventType: event_type,
        ts: envelope.micros as never,
        partition,
        offset: offset as never,
        payload,
      };
    });
    state.apply(events);
    for (const { partition, offset } of placed)
      basis = advance(basis, [{ topic: TRAFFIC, partition, nextOffset: (offset + 1) as never }]);
    const record = basisRecord(basis);
    const decisions = events.map((event, at) => {
      const envelope = envelopes[at];
      if (envelope === undefined) throw new TypeError('one event per envelope');
      const { feature_snapshot_hash, groups } = snapshotOf({
        ...{ pins, trigger: event, definitions: policy.policy_rev, inputBasis: record },
        groups: state.snapshot(event, new Set(HANDBOOK)),
      });
      const id = digestCanonical({ decision: event.eventId, run: pins.run_id });
      const decision = decidedEvent(
        pins,
        id,
        { outcome: 'APPROVE', event: event.eventId },
        {
          features: {
            ...{ status: 'USED', feature_snapshot_hash, definitions: policy.policy_rev, input_basis: record },
            groups: groups.map(({ name, version, status }) => ({ name, version, status })),
          },
          source_event: {
            ...{ event_id: event.eventId, event_type: 'transaction', ts_utc: envelope.ts_utc },
            payload_hash: payloadHash(asEnvelope(withoutMicros(envelope))),
            eb_ref: { topic: TRAFFIC, partition: event.partition, offset: event.offset },
          },
        },
      );
      return { partition: event.partition, envelope: decision as never };
    });
    const told = await append(producer, decisions);
    for (const { partition, offset } of told)
      basis = advance(basis, [{ topic: TRAFFIC, partition, nextOffset: (offset + 1) as never }]);
  }
  await producer.close();
}

function paymentOf(pins: RunPins, n: number, random: () => number) {
  const micros = BASE_MICROS + Math.floor((n * 86_400e6) / PER_DAY);
  return {
    ...pins,
    micros,
    event_id: `payment-${n}` as never,
    event_type: 'transaction' as never,
    schema_version: 'v1',
    producer: 'bench',
    ts_utc: fromEpochMicros(micros),
    payload: {
      transaction_id: `payment-${n}`,
      amount_minor: 100 + Math.floor(random() * 20_000),
      currency: 'EUR',
      customer_id: `customer-${Math.floor(random() * CUSTOMERS)}`,
      terminal_id: `terminal-${Math.floor(random() * TERMINALS)}`,
    },
  };
}

type Payment = ReturnType<typeof paymentOf>;

function withoutMicros({ micros: _, ...envelope }: Payment): object {
  return envelope;
}

async function append(
  producer: BusProducer,
  records: readonly { readonly partition: number; readonly envelope: Payment }[],
) {
  const parts = Array.from({ length: PARTITIONS }, (_, partition) =>
    records.filter((each) => each.partition === partition),
  );
  const appended = await producer.append(
    parts.flatMap((part, partition) =>
      part.length === 0
        ? []
        : [
            {
              ...{ topic: TRAFFIC, partition },
              records: part.map(({ envelope }) => ({
                ...{ key: 'k', headers: {} },
                value: Buffer.from(canonicalJson(withoutMicros(envelope))),
              })),
            },
          ],
    ),
  );
  const first = new Map(appended.map(({ partition, firstOffset }) => [partition, Number(firstOffset)]));
  return records.map(({ partition, envelope }) => {
    const offset = first.get(partition) ?? 0;
    first.set(partition, offset + 1);
    return { partition, envelope, offset };
  });
}

/** The most that the processes of the build, and this one, held at any look. */
function watchMemory() {
  let [worker, parent] = [0, 0];
  const look = (): void => {
    parent = Math.max(parent, process.memoryUsage().rss);
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('build.worker')) continue;
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        if (!status.includes(`PPid:\t${process.pid}\n`)) continue;
        worker = Math.max(worker, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024);
      } catch {
        // It has ended between two looks.
      }
    }
  };
  const timer = setInterval(look, 200);
  return {
    end: () => {
      clearInterval(timer);
      return { worker: Math.round(worker / 2 ** 20), parent: Math.round(parent / 2 ** 20) };
    },
  };
}
