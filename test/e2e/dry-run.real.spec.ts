import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { Door, DECISION_ROLES, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';
import { withLongWaits } from '../support/live-payments.js';
import { dryRunCases } from './dry-run.cases.js';

const ROWS = 400;

describe('decisions of a file on real servers, with the decision fabric in a process of its own,', () => {
  let door: Door;
  let run = '';

  beforeAll(async () => {
    const without = DECISION_ROLES.filter((role) => role !== 'df');
    door = await Door.open('real', [without.join(','), 'df'], {
      introduce: (profile) => [withLongWaits(profile)],
      env: {},
    });
    const scenario = `dry-run-${randomBytes(4).toString('hex')}`;
    ({ run_id: run } = await importedRun(door, handbookFile(ROWS, 23), scenario));
    expect(await door.settled(run)).toMatchObject({ state: 'READY' });
    const dl = await door.client('dl');
    await eventually(
      async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      30_000,
    );
    await door.stream(run);
    await door.streamed(run);
  }, 150_000);
  afterAll(() => door.close());

  dryRunCases(() => ({ door, run, rows: ROWS }), false);
});
