import { describe, expect, it } from '@jest/globals';
import { RunningDigest } from '../../../rails/digest.js';
import { type Objects } from '../objects.port.js';
import { CASE_LIMIT_MS, freshPrefix, noiseStream, type ObjectsHarness, refusal, type StreamReport } from './kit.js';
import { objectKey } from '../../../rails/ref.js';

export interface Scale {
  /** Of the object that is streamed: at least twice the growth, so that holding it in memory cannot pass for not holding it. */
  readonly streamBytes: number;
  /** What a process may grow by while it streams: what the adapter has under way, and what the collector has not yet taken. */
  readonly growthBytesMax: number;
}

export function scaleCases(
  harness: () => ObjectsHarness,
  store: () => Objects,
  { streamBytes, growthBytesMax }: Scale,
): void {
  describe('streaming', () => {
    const key = objectKey(`${freshPrefix()}large`);

    it(
      'puts and reads a large object in constant memory',
      async () => {
        const report = (await harness().run({ task: 'stream', key, bytes: streamBytes }, 64)) as StreamReport;
        const running = new RunningDigest();
        for await (const chunk of noiseStream(streamBytes)) running.update(chunk);
        expect([report.digest, report.size]).toEqual([running.finish(), streamBytes]);
        expect(streamBytes).toBeGreaterThanOrEqual(2 * growthBytesMax);
        expect(report.grownBytes).toBeLessThan(growthBytesMax);
      },
      10 * CASE_LIMIT_MS,
    );

    it(
      'finds the flipped byte in a large object, and does not take it into memory',
      async () => {
        const ref = await store().head(key);
        if (ref === null) throw new Error('the large object is not there');
        expect((await refusal(store().read(ref))).code).toBe('OBJECTS_TOO_LARGE');
        await harness().tamper(key, { how: 'flip', offset: Math.floor(streamBytes / 2) });
        let seen = 0;
        const drain = async (): Promise<void> => {
          for await (const chunk of store().open(ref)) seen += chunk.byteLength;
        };
        const error = await refusal(drain());
        expect([error.code, error.data['key']]).toEqual(['OBJECTS_DIGEST_MISMATCH', key]);
        // Handed out as it came: the verdict stands at the end.
        expect(seen).toBeGreaterThan(streamBytes / 2);
      },
      10 * CASE_LIMIT_MS,
    );
  });
}
