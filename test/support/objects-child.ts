import { readFileSync, writeFileSync } from 'node:fs';
import { objectKey } from '../../src/rails/ref.js';
import {
  BINARY,
  bytesOf,
  type ChildTask,
  collect,
  noiseStream,
  type RaceReport,
  type StreamReport,
  TEXT,
} from '../../src/substrate/objects/contract/kit.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { soak, type SoakTask } from './objects-soak.js';
import { openStore, STORE_VARIABLE, type StoreSpec } from './objects-store.js';

/** The program of a test's child process: one task on one store, then one line of JSON. */
async function main(): Promise<void> {
  // The parent wrote both with JSON.stringify from these types.
  const task = JSON.parse(process.argv[2] ?? '') as ChildTask | SoakTask;
  const store = await openStore(JSON.parse(process.env[STORE_VARIABLE] ?? '') as StoreSpec);
  const report = await perform(task, store);
  await store.close();
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function perform(task: ChildTask | SoakTask, store: Objects): Promise<unknown> {
  switch (task.task) {
    case 'race':
      return race(store, task);
    case 'stream':
      return stream(store, task);
    case 'soak':
      return soak(store, task);
  }
}

async function race(store: Objects, task: Extract<ChildTask, { task: 'race' }>): Promise<RaceReport> {
  const results = await Promise.all(
    task.keys.map((key) => store.putIfAbsent(objectKey(key), bytesOf(task.variant), TEXT)),
  );
  return { outcomes: results.map(({ outcome }) => outcome) };
}

async function stream(store: Objects, task: Extract<ChildTask, { task: 'stream' }>): Promise<StreamReport> {
  // What the first request loads and allocates once is no part of what a large object takes.
  const warm = await store.putIfAbsent(objectKey(`${task.key}.warm`), noiseStream(3_000_000), BINARY);
  await collect(store.open(warm.ref));
  globalThis.gc?.();
  // The high-water mark of this process's memory, set back to what it is now.
  writeFileSync('/proc/self/clear_refs', '5');
  const before = residentBytesMax();

  const { ref } = await store.putIfAbsent(objectKey(task.key), noiseStream(task.bytes), BINARY);
  let size = 0;
  for await (const chunk of store.open(ref)) size += chunk.byteLength;
  const part = await store.readRange(ref, { start: ref.size - 1_000, end: ref.size });
  if (part.byteLength !== 1_000) throw new Error('the range is not whole');
  return { digest: ref.digest.hex, size, grownBytes: residentBytesMax() - before };
}

function residentBytesMax(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return Number(line?.[1]) * 1024;
}

await main();
