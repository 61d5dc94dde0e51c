import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromEpochMs } from '../src/rails/time.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { ownMigrationsFolder } from '../src/substrate/database/migrations/migration.files.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { bundleOf, type Registry, registryOf, RON, slot } from '../test/contract/model-registry.kit.js';
import { type Bench, measure } from './harness.js';

/** As many as an installation sees in years: each is published, approved and promoted once. */
const VERSIONS = 500;
const PRIMARY = slot('primary');
const SLOTS = [PRIMARY, slot('stage2'), slot('challenger')];

/** Which bundle is active, as the decision fabric asks with every batch, and as of the past; the service by itself, database with fsync on. */
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
    await server.migrate([schemaName('bus'), schemaName('registry')]);
    bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
    const objects = await FilesObjects.open(join(folder, 'objects'), clock);
    const registry = registryOf({ database: server.forSchema(schemaName('registry')), bus, objects }, clock, {
      four_eyes: true,
      slots: SLOTS.map((name) => ({ name, needs: 'APPROVED' })),
      shipped: [],
    });
    const startMs = performance.now();
    const facts = await fill(registry);
    const perSecond = Math.round((1_000 * facts) / (performance.now() - startMs));
    note(`${facts.toLocaleString('en')} facts of ${VERSIONS} versions, each by a command of its own: ${perSecond}/s.`);
    const now = fromEpochMs(clock.nowMs());
    const ask = async (slots: typeof SLOTS, more: { as_of_seq?: number; as_of_utc?: typeof now }): Promise<void> => {
      const { resolutions } = await registry.service.resolve({ slots, ...more });
      if (resolutions[0]?.status !== 'ACTIVE') throw new Error('nothing is active');
    };
    const somewhere = (): number => 3 + Math.floor(Math.random() * (facts - 3));
    const timed = async (name: string, run: () => Promise<void>) =>
      await measure({ name, runs: 2_000, warmups: 100, run });
    return [
      await timed('what is active, 1 slot', () => ask([PRIMARY], {})),
      await timed('what is active, 3 slots', () => ask(SLOTS, {})),
      await timed('as of a fact, 1 slot', () => ask([PRIMARY], { as_of_seq: somewhere() })),
      await timed('as of a time, 1 slot', () => ask([PRIMARY], { as_of_utc: now })),
    ];
  } finally {
    await bus?.close();
    await server.close(5_000);
    rmSync(folder, { recursive: true, force: true });
  }
};

/** @returns how many facts there are then */
async function fill({ publish, service, store }: Registry): Promise<number> {
  for (let version = 1; version <= VERSIONS; version += 1) {
    const bundle = { bundle_id: 'bench', bundle_version: version };
    await publish(bundleOf(bundle.bundle_id, version, version));
    await service.command({ action: 'approve', bundle }, { actor: RON, reason: 'a bench', key: `approve ${version}` });
    const expected_seq = (await store.active([PRIMARY])).rows[0]?.seq ?? 0;
    await service.command(
      { action: 'promote', bundle, slot: PRIMARY, expected_seq },
      { actor: RON, reason: 'a bench', key: `promote ${version}` },
    );
  }
  return await store.headSeq();
}
