import { digestBytes } from '../../src/rails/digest.js';
import { objectKey, type ObjectKey } from '../../src/rails/ref.js';
import { BINARY, chunked, noise } from '../../src/substrate/objects/contract/kit.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';

/** Puts objects without end, several at a time, and reports each answer, until somebody kills the process. */
export interface SoakTask {
  readonly task: 'soak';
  readonly prefix: string;
  readonly seed: number;
  /** Puts under way at a time. */
  readonly width: number;
  readonly bytesMax: number;
}

/** One line of the child: it is about to put this object, or has the answer. */
export type SoakLine = { readonly begin: number } | { readonly ack: number; readonly outcome: string };

/** The object of that number: the same for the same seed, so that whoever retries offers the same bytes. */
export function soakObject(task: SoakTask, index: number): { readonly key: ObjectKey; readonly bytes: Buffer } {
  // Mostly small, and every eighth one large: those are the ones that a crash can tear.
  const random = noise(4, task.seed * 100_003 + index).readUInt32LE();
  const size = random % (index % 8 === 7 ? task.bytesMax : 5_000);
  return { key: objectKey(`${task.prefix}${index % 3}/${index}`), bytes: noise(size, index + 1) };
}

export function say(line: SoakLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export async function soak(store: Objects, task: SoakTask): Promise<never> {
  const lane = async (first: number): Promise<never> => {
    for (let index = first; ; index += task.width) {
      const { key, bytes } = soakObject(task, index);
      say({ begin: index });
      const body =
        index % 2 === 0
          ? bytes
          : chunked(
              bytes,
              Array.from({ length: 100 }, () => 60_000),
            );
      const { outcome } = await store.putIfAbsent(key, body, { ...BINARY, expect: digestBytes(bytes) });
      say({ ack: index, outcome });
    }
  };
  return Promise.race(Array.from({ length: task.width }, (_, first) => lane(first)));
}
