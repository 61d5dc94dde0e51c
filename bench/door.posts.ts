import { Agent, request } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunRequest } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door } from '../test/support/door.js';
import { plainTransaction } from './door.kit.js';
import { type Bench, type SingleResult, timingOf } from './harness.js';

const SECONDS = 20;

/**
 * Single transactions at a fixed rate, each on its own request. Open loop: a request is sent when its moment has come,
 * whether the ones before were answered or not, and its time counts from that moment. A closed loop would wait with the
 * program, and so hide what its users wait for.
 */
async function posts(url: string, key: string, ratePerS: number): Promise<SingleResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const times: number[] = [];
  const failures: string[] = [];
  const startMs = performance.now();
  const total = ratePerS * SECONDS;
  const pending: Promise<void>[] = [];
  for (let n = 0; n < total;) {
    const dueMs = startMs + (n * 1_000) / ratePerS;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      continue;
    }
    const body = JSON.stringify(plainTransaction(`${ratePerS}-${n}`, n));
    pending.push(
      send(agent, url, key, body).then((status) => {
        if (status === 201) times.push(performance.now() - dueMs);
        else failures.push(String(status));
      }),
    );
    n += 1;
  }
  await Promise.all(pending);
  agent.destroy();
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${total} were refused: ${failures.slice(0, 5).join()}`);
  return { name: `POST /v1/transactions at ${ratePerS}/s for ${SECONDS} s`, timing: timingOf(times) };
}

function send(agent: Agent, url: string, key: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/v1/transactions`,
      {
        method: 'POST',
        agent,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (answer) => {
        answer.resume();
        answer.once('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

export const bench: Bench = async (note) => {
  const door = await Door.open('embedded', ['all']);
  try {
    const run = await door.request({
      run_equivalence_key: 'live',
      world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      strategy: 'AUTO',
    } as unknown as RunRequest);
    await door.settled(run.run_id);
    const key = readFileSync(join(door.data, 'keys', 'operator.key'), 'utf8').trim();
    const url = await door.program('all').url();
    note(
      'All roles in one process, embedded database with fsync on; the load comes from another process of the machine.',
    );
    await posts(url, key, 50);
    return [await posts(url, key, 200), await posts(url, key, 1_000)];
  } finally {
    await door.close();
  }
};
