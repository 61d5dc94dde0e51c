import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { ownMigrationsFolder } from '../src/substrate/database/migrations/migration.files.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { life, logsOf } from '../test/contract/decision-log-audit.kit.js';
import { batchOf } from '../test/contract/feature-plane.kit.js';
import type { Bench } from './harness.js';

const PARTITIONS = 4;
const RECORDS = 25_000;
const BATCH = 1_000;

/** The audit log by itself: events become leaves, leaves become signed objects; database with fsync on, objects in files. */
export const bench: Bench = async (note) => {
  const folder = mkdtempSync(join(tmpdir(), 'probity bench-'));
  const clock = new SystemClock();
  const server = await openEmbeddedServer({
    component: 'bench',
    clock,
    migrationsFolders: [ownMigrationsFolder()],
    dataFolder: join(folder, 'postgres'),
  });
  try {
    await server.migrate([schemaName('audit_index')]);
    const objects = await FilesObjects.open(join(folder, 'objects'), clock);
    const logs = logsOf(PARTITIONS, RECORDS);
    const unit = await life(server.forSchema(schemaName('audit_index')), objects, logs);
    const startMs = performance.now();
    const cpu = process.cpuUsage();
    for (let from = 0; from < RECORDS; from += BATCH) {
      await Promise.all(logs.map((log) => unit.consumer.take(batchOf(log, from * 2, BATCH))));
      while ((await unit.writer.publish()) > 0);
    }
    const tookS = (performance.now() - startMs) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    const total = PARTITIONS * RECORDS;
    const perSecond = (seconds: number): string => Math.round(total / seconds).toLocaleString('en');
    note(`${total.toLocaleString('en')} records: ${perSecond(tookS)} leaves/s sequenced, written and signed.`);
    note(`Processor time of this process: ${Math.round((user + system) / total)} µs per leaf.`);
    const checkMs = performance.now();
    const { verification_id } = unit.verifications.start();
    while (unit.verifications.find(verification_id).state === 'RUNNING')
      await new Promise((resolve) => setTimeout(resolve, 20));
    const { on_bus } = unit.verifications.find(verification_id);
    if (on_bus !== total) throw new Error('the log does not verify');
    note(`Verified: ${perSecond((performance.now() - checkMs) / 1_000)} leaves/s, tree and records.`);
    note(`Resident memory: ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB.`);
    return [];
  } finally {
    await server.close(5_000);
    rmSync(folder, { recursive: true, force: true });
  }
};
