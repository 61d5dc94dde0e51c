import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { DOOR_ROLES, Door, importedRun } from '../support/door.js';
import { handbookFile } from '../support/handbook-file.js';

const ROWS = 3_000;

/** One file through three arrangements of the same program; what stands on the topic must be the very same. */
describe('a file through one process, four processes, and four processes on real servers', () => {
  // Topics outlive a test on a shared broker: a scenario of its own keeps this run apart.
  const scenario = `door-${randomBytes(4).toString('hex')}`;
  const file = handbookFile(ROWS, 11);

  async function through(flavour: 'embedded' | 'real', groups: readonly string[]): Promise<Reconciliation> {
    const door = await Door.open(flavour, groups);
    try {
      const { run_id } = await importedRun(door, file, scenario);
      expect(await door.settled(run_id)).toMatchObject({ state: 'READY' });
      await door.stream(run_id);
      expect(await door.streamed(run_id)).toMatchObject({ state: 'COMPLETED', admitted: ROWS });
      return await door.reconciled(run_id);
    } finally {
      await door.close();
    }
  }

  it('gives the same event ids with the same payloads', async () => {
    const found = [
      await through('embedded', ['all']),
      await through('embedded', DOOR_ROLES),
      await through('real', DOOR_ROLES),
    ];
    for (const one of found) expect(one).toMatchObject({ admitted: ROWS, on_bus: ROWS, reconciled: true });
    expect(new Set(found.map(({ set_digest }) => set_digest)).size).toBe(1);
  }, 180_000);
});
