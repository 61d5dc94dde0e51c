import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contentOf, type Entry, eventTarget } from '../src/modules/label-store/assertion.core.js';
import { type LedgerStore } from '../src/modules/label-store/ledger.store.js';
import type { Actor } from '../src/rails/actor.js';
import { labelIdOf } from '../src/rails/labels/target.js';
import { fromEpochMs } from '../src/rails/time.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { ownMigrationsFolder } from '../src/substrate/database/migrations/migration.files.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { AdmittedEvents, ANALYST, openLabels, pinsOf, policy } from '../test/contract/label-store.kit.js';
import { type Bench, measure } from './harness.js';

const LABELS = 200_000;
const BATCH = 500;
const PINS = pinsOf(1);

/** The ledger of labels by itself: how fast labels enter, and how long an answer as of a time takes; database with fsync on. */
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
    await server.migrate([schemaName('bus'), schemaName('label_store')]);
    bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
    const database = server.forSchema(schemaName('label_store'));
    const objects = await FilesObjects.open(join(folder, 'objects'), clock);
    const unit = openLabels({ database, bus, objects }, new AdmittedEvents(), clock);
    await unit.ready(PINS);
    await fill(unit.ledger, clock, note);
    const asOf = fromEpochMs(clock.nowMs());
    const ask = async (targets: number, at: () => typeof asOf): Promise<void> => {
      const from = Math.floor(Math.random() * (LABELS - targets));
      const named = Array.from({ length: targets }, (_, n) => eventTarget(`e-${from + n}`));
      const question = { run_id: PINS.run_id, targets: named as never[], label_type: 'fraud_disposition' };
      const { answers } = await unit.asOf({ ...question, as_of_utc: at() });
      if (answers.some(({ state }) => state !== 'LABEL')) throw new Error('a label is missing');
    };
    const past = () => asOf;
    return [
      await measure({ name: 'as of a past time, 1 target', runs: 2_000, warmups: 50, run: () => ask(1, past) }),
      await measure({ name: 'as of a past time, 500 targets', runs: 300, warmups: 20, run: () => ask(500, past) }),
      await measure({
        name: 'as of now, 1 target',
        runs: 1_000,
        warmups: 20,
        run: () => ask(1, () => fromEpochMs(clock.nowMs())),
      }),
    ];
  } finally {
    await bus?.close();
    await server.close(5_000);
    rmSync(folder, { recursive: true, force: true });
  }
};

async function fill(ledger: LedgerStore, clock: SystemClock, note: (text: string) => void): Promise<void> {
  const startMs = performance.now();
  for (let from = 0; from < LABELS; from += BATCH) {
    const entries = Array.from({ length: BATCH }, (_, n) => entryOf(from + n, ANALYST));
    await ledger.record(entries, fromEpochMs(clock.nowMs()), () => Promise.resolve());
  }
  const seconds = (performance.now() - startMs) / 1_000;
  note(
    `${LABELS.toLocaleString('en')} labels entered, ${BATCH} at a time: ${Math.round(LABELS / seconds).toLocaleString('en')}/s.`,
  );
}

function entryOf(n: number, actor: Actor): Entry {
  const [target, label_type, namespace] = [eventTarget(`e-${n}`), 'fraud_disposition', 'analyst'];
  const said = { label_value: 'FRAUD_CONFIRMED', effective_at_utc: fromEpochMs(1_700_000_000_000) };
  return {
    pins: PINS,
    label: {
      label_id: labelIdOf({ pins: PINS, target, label_type, namespace, handle: String(n) }),
      target,
      label_type,
      ...said,
      source: { type: 'HUMAN', namespace, actor },
      policy_rev: policy.policy_rev,
    },
    evidence: undefined,
    content: contentOf(said),
    maySupersede: 'own',
  };
}
