import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asBasis } from '../src/rails/basis.js';
import { canonicalJson } from '../src/rails/canonical-json.js';
import { envelopeOf, labelOf, runPins, CONTROL, TRAFFIC } from '../test/contract/feature-plane.kit.js';
import { catchUp, openFeatures, openOperations } from '../test/contract/backfill.kit.js';
import { seeded } from '../test/support/kafka-log.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { ownMigrationsFolder } from '../src/substrate/database/migrations/migration.files.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { type Bench, type SingleResult, timingOf } from './harness.js';

const PAYMENTS = Number(process.env['PROBITY_BENCH_PAYMENTS'] ?? 200_000);
const PARTITIONS = 4;
const BATCH = 1_000;
/** As many as the handbook's simulator has, and as often. */
const [CUSTOMERS, TERMINALS, PER_DAY] = [5_000, 10_000, 4_770];
const DAY_S = 86_400;
const LABEL_DELAY_S = 7 * DAY_S;
/** What the whole live path decides in a second; bench/README.md says how it was measured. */
const LIVE_PATH_PER_S = 560;

/**
 * The features of one run, made twice of the same log by the embedded bus, fsync on: by the projector as records come, and by a backfill beside it; then the
 * comparison of the two, and the cutover.
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
    await server.migrate(['bus', 'gov', 'ofp', 'ieg'].map((name) => schemaName(name)));
    bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
    const objects = await FilesObjects.open(join(folder, 'objects'), clock);
    const place = { bus, objects, database: (schema: string) => server.forSchema(schemaName(schema)) };
    await fill(bus);
    const results: SingleResult[] = [];
    const timed = async (name: string, work: () => Promise<unknown>): Promise<number> => {
      const startMs = performance.now();
      await work();
      const tookMs = performance.now() - startMs;
      results.push({ name, timing: timingOf([tookMs]) });
      return (PAYMENTS / tookMs) * 1_000;
    };
    const plane = await openFeatures(place);
    const applied = await timed(`the projector applies ${PAYMENTS} payments of the bus`, async () => {
      await catchUp(place.bus, plane.engine, BATCH);
      await plane.engine.checkpoint();
    });
    const ops = openOperations(place, { features: plane.service, graph: {} as never });
    const plan = await ops.plans.settled({
      ...{ opId: 'bench', source: 'bus' },
      basis: () => Promise.resolve(asBasis(plane.engine.vector.record())),
    });
    const reaches = async (to: 'BUILT' | 'COMPARED' | 'LIVE', state: string): Promise<void> => {
      for (;;) {
        const found = await plane.service.rebuild({ op_id: 'bench', plan: plan.ref, to });
        if (found.state === state) return;
        if (found.fault !== null) throw new Error(JSON.stringify(found.fault));
        await clock.sleep(5);
      }
    };
    const built = await timed('a backfill makes them again', () => reaches('BUILT', 'BUILT'));
    const compared = await timed('both states are compared', () => reaches('COMPARED', 'EQUAL'));
    await timed('the new one takes over', () => reaches('LIVE', 'LIVE'));
    const perS = (rate: number): string => `${Math.round(rate).toLocaleString('en')}/s`;
    note(
      `${PAYMENTS.toLocaleString('en')} payments, ${PARTITIONS} partitions: applied by the projector ${perS(applied)}, backfilled ${perS(built)} (${(built / applied).toFixed(2)} × the projector alone, ${(built / LIVE_PATH_PER_S).toFixed(0)} × the whole live path of ${LIVE_PATH_PER_S}/s), compared ${perS(compared)}.`,
    );
    return results;
  } finally {
    await bus?.close();
    await server.close(5_000);
    rmSync(folder, { recursive: true, force: true });
  }
};

async function fill(bus: EmbeddedBus): Promise<void> {
  await bus.ensureTopics(
    [TRAFFIC, CONTROL].map((topic) => ({
      ...{ topic, partitions: PARTITIONS, recordBytesMax: 1_048_576, retentionMs: null },
    })),
  );
  const random = seeded(7);
  const pins = runPins('bench');
  const producer = await bus.openProducer({ name: 'bench' });
  const record = (envelope: object) => ({
    key: 'k',
    value: Buffer.from(canonicalJson(JSON.parse(JSON.stringify(envelope)))),
    headers: {},
  });
  for (let from = 0; from < PAYMENTS; from += BATCH) {
    const payments = Array.from({ length: Math.min(BATCH, PAYMENTS - from) }, (_, n) => ({
      id: `payment-${from + n}`,
      second: Math.floor(((from + n) * DAY_S) / PER_DAY),
      customer: `customer-${Math.floor(random() * CUSTOMERS)}`,
      terminal: `terminal-${Math.floor(random() * TERMINALS)}`,
      amount: 100 + Math.floor(random() * 20_000),
    }));
    const partition = (from / BATCH) % PARTITIONS;
    const records = payments.map((payment) => record(envelopeOf(pins, payment)));
    const facts = payments
      .filter(() => random() < 0.008)
      .map(({ id, second }) => record(labelOf(pins, id, second + LABEL_DELAY_S)));
    await producer.append([
      { topic: TRAFFIC, partition, records },
      ...(facts.length === 0 ? [] : [{ topic: CONTROL, partition: 0, records: facts }]),
    ]);
  }
  await producer.close();
}
