import { packOf } from '../../src/modules/data-engine/generate/pack.core.js';
import { digestOf } from '../../src/modules/data-engine/generate/generator.cases.js';
import { World } from '../../src/modules/data-engine/generate/world.js';

/**
 * The generator in a process of its own. Orders: `digest <seed> <pack>` says the digest of every row; `heap <seed> <pack>`
 * says rows and the most bytes that were in use after a collection (needs --expose-gc). Says time zone and locale, too, so
 * that a test sees that they really were foreign.
 */
const [, , order, seed = '0', text = '{}'] = process.argv;
const pack = packOf(JSON.parse(text) as Parameters<typeof packOf>[0]);
if (order === 'digest') {
  const zone = new Date(2025, 0, 1).getTimezoneOffset();
  say({ digest: await digestOf(seed, pack), zone, locale: Intl.DateTimeFormat().resolvedOptions().locale });
} else {
  let rows = 0;
  let heapMax = 0;
  let day = -1;
  for (const [batch, days] of new World(seed, pack).batches()) {
    rows += batch.traffic.length;
    if (Math.floor(days / 10) === day) continue;
    day = Math.floor(days / 10);
    globalThis.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    heapMax = Math.max(heapMax, heapUsed + arrayBuffers);
  }
  say({ rows, heapMax, collects: globalThis.gc !== undefined });
}

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
