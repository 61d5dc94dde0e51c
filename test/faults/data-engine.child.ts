import type { ImportInvocation } from '../../src/modules/data-engine/data-engine.port.js';
import { importSource } from '../../src/modules/data-engine/import/import.source.js';
import { sealWorld } from '../../src/modules/data-engine/sealing/seal-world.js';
import { openStore, STORE_VARIABLE, type StoreSpec } from '../support/objects-store.js';

/**
 * The program of a process that makes one world. It says each object that it has put, on a line, and waits for a line from
 * the parent before it goes on: so that the parent can end it at any of them.
 */
const objects = await openStore(JSON.parse(process.env[STORE_VARIABLE] ?? '') as StoreSpec);
const invocation = JSON.parse(process.argv[2] ?? '') as ImportInvocation;
const stepwise = process.argv[3] === 'stepwise';

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const putIfAbsent = objects.putIfAbsent.bind(objects);
objects.putIfAbsent = async (key, body, options) => {
  const result = await putIfAbsent(key, body, options);
  say({ put: key, outcome: result.outcome });
  if (stepwise) await new Promise((resolve) => process.stdin.once('data', resolve));
  return result;
};

const { seal } = await sealWorld({
  objects,
  invocation,
  source: importSource(objects, invocation),
  signal: new AbortController().signal,
  onProgress: () => undefined,
});
await objects.close();
say({ seal: seal.digest.hex, zone: new Date(0).getTimezoneOffset(), memory: process.resourceUsage().maxRSS * 1_024 });
process.stdin.destroy();
