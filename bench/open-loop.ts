import { Agent, request } from 'node:http';
import { type SingleResult, timingOf } from './harness.js';

export interface OpenLoop {
  readonly name: string;
  readonly url: string;
  readonly key: string;
  readonly ratePerS: number;
  readonly seconds: number;
  readonly body: (n: number) => object;
  /** Whether an answer is the one that was wanted; anything else fails the bench. */
  readonly accepts: (status: number, text: string) => boolean;
}

/**
 * Requests at a fixed rate, each by itself. Open loop: a request is sent when its moment has come, whether the ones before were answered
 * or not, and its time counts from that moment. A closed loop would wait with the program, and so hide what its users wait for.
 */
export async function openLoop(loop: OpenLoop): Promise<SingleResult> {
  const { ratePerS, seconds, body, accepts } = loop;
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const times: number[] = [];
  const failures: string[] = [];
  const startMs = performance.now();
  const total = ratePerS * seconds;
  const pending: Promise<void>[] = [];
  for (let n = 0; n < total;) {
    const dueMs = startMs + (n * 1_000) / ratePerS;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      continue;
    }
    pending.push(
      send(agent, loop, JSON.stringify(body(n))).then(({ status, text }) => {
        if (accepts(status, text)) times.push(performance.now() - dueMs);
        else failures.push(`${status} ${text.slice(0, 200)}`);
      }),
    );
    n += 1;
  }
  await Promise.all(pending);
  agent.destroy();
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${total} were refused: ${failures.slice(0, 5).join()}`);
  return { name: `${loop.name} at ${ratePerS}/s for ${seconds} s`, timing: timingOf(times) };
}

function send(
  agent: Agent,
  { url, key }: Pick<OpenLoop, 'url' | 'key'>,
  body: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => (text += piece));
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
