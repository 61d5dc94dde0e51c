import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunRequest } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door, DOOR_ROLES } from '../test/support/door.js';
import { plainTransaction } from './door.kit.js';
import type { Bench, SingleResult } from './harness.js';
import { openLoop } from './open-loop.js';

const SECONDS = 20;

/** Single transactions at a fixed rate through the door alone. */
export const bench: Bench = async (note) => {
  const roles = [...DOOR_ROLES, 'edge'].join(',');
  const door = await Door.open('embedded', [roles]);
  try {
    const run = await door.request({
      run_equivalence_key: 'live',
      world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      strategy: 'AUTO',
    } as unknown as RunRequest);
    await door.settled(run.run_id);
    const key = readFileSync(join(door.data, 'keys', 'operator.key'), 'utf8').trim();
    const url = `${await door.program(roles).url()}/v1/transactions`;
    note(
      'The roles of the door in one process, embedded database with fsync on; the load comes from another process of the machine.',
    );
    const posts = (ratePerS: number): Promise<SingleResult> =>
      openLoop({
        name: 'POST /v1/transactions',
        url,
        key,
        ratePerS,
        seconds: SECONDS,
        body: (n) => plainTransaction(`${ratePerS}-${n}`, n),
        accepts: (status) => status === 201,
      });
    await posts(50);
    return [await posts(200), await posts(1_000)];
  } finally {
    await door.close();
  }
};
