import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestBytes } from '../../rails/digest.js';
import { objectKey, refTo } from '../../rails/ref.js';
import { collect, noise, refusal } from './contract/kit.js';
import { resumed } from './s3.resume.js';

const KEY = objectKey('a/b');

/** A server whose n-th answer breaks after so many bytes, or ends there as if it were whole; 0 breaks at once. */
function flaky(bytes: Buffer, breaks: readonly { readonly after: number; readonly silently: boolean }[]) {
  const asked: number[] = [];
  const pauses: number[] = [];
  async function* answer(offset: number, index: number): AsyncGenerator<Uint8Array> {
    const broken = breaks[index];
    const end = broken === undefined ? bytes.byteLength : Math.min(offset + broken.after, bytes.byteLength);
    if (end > offset) yield await Promise.resolve(bytes.subarray(offset, end));
    if (broken?.silently === false) throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
  }
  return {
    asked,
    pauses,
    get: (offset: number) => Promise.resolve(answer(offset, asked.push(offset) - 1)),
    pause: (failures: number) => Promise.resolve(void pauses.push(failures)),
  };
}

describe('a reading that is resumed', () => {
  it('gives the same bytes wherever it breaks', async () => {
    const breaks = fc.array(fc.record({ after: fc.integer({ min: 1, max: 400 }), silently: fc.boolean() }), {
      maxLength: 10,
    });
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 1_500 }), breaks, async (size, some) => {
        const bytes = noise(size);
        const server = flaky(bytes, some);
        const ref = refTo(KEY, digestBytes(bytes), size, 'text/plain');
        expect(Buffer.compare(await collect(resumed(ref, { ...server, attemptsMax: 2 })), bytes)).toBe(0);
        // It asks for what is missing and nothing twice; each break was after some bytes, so none counts as in a row.
        expect(server.asked).toEqual([...new Set(server.asked)].sort((a, b) => a - b));
        expect(server.pauses.every((failures) => failures === 1)).toBe(true);
      }),
    );
  });

  it('is given up after so many breaks without a byte between them, and names the key', async () => {
    const bytes = noise(1_000);
    const ref = refTo(KEY, digestBytes(bytes), 1_000, 'text/plain');
    const dead = { after: 0, silently: false };
    const server = flaky(bytes, [dead, dead, { after: 10, silently: false }, dead, dead, dead, dead]);
    const error = await refusal(collect(resumed(ref, { ...server, attemptsMax: 4 })));
    expect([error.code, error.data]).toEqual(['OBJECTS_UNAVAILABLE', { key: KEY, offset: 10 }]);
    expect([server.asked, server.pauses]).toEqual([
      [0, 0, 0, 10, 10, 10],
      [1, 2, 1, 2, 3],
    ]);
  });
});
