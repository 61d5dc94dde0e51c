import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestBytes } from '../../rails/digest.js';
import { objectKey } from '../../rails/ref.js';
import { chunked, collect, failing, noise, noiseStream, refusalCode } from './contract/kit.js';
import { Spool } from './spool.js';

const KEY = objectKey('a/b');

describe('spool', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'probity spool-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const spool = (): Spool => new Spool({ folder, memoryBytesMax: 1_000, diskBytesMax: 10_000 });

  it.each([0, 1, 999, 1_000, 1_001, 5_000, 10_000])('gives %i bytes back, as often as wanted', async (size) => {
    const bytes = noise(size);
    const content = await spool().take(KEY, chunked(bytes, [1, 500, 2, 600]));
    expect([content.size, content.digest, content.bytes === null]).toEqual([size, digestBytes(bytes), size > 1_000]);
    // A trial that broke off half-way does not move the start of the next.
    for await (const _chunk of content.stream()) break;
    for (let trial = 0; trial < 2; trial += 1) {
      expect(Buffer.compare(await collect(content.stream()), bytes)).toBe(0);
    }
    await content.close();
  });

  it('leaves no name on the disk, not even while a stream is held', async () => {
    const content = await spool().take(KEY, noiseStream(5_000, 100));
    expect(await readdir(folder)).toEqual([]);
    await content.close();
  });

  it('is full at its bound, for all streams together, and has room again when they are gone', async () => {
    const shared = spool();
    const first = await shared.take(KEY, noiseStream(6_000, 100));
    expect(await refusalCode(shared.take(KEY, noiseStream(6_000, 100)))).toBe('OBJECTS_STORE_FULL');
    // The refused one gave its part back.
    const second = await shared.take(KEY, noiseStream(4_000, 100));
    await Promise.all([first.close(), second.close()]);
    await (await shared.take(KEY, noiseStream(10_000, 100))).close();
  });

  it('gives its room back when the source fails', async () => {
    const shared = spool();
    const mishap = new Error('the source broke');
    for (let trial = 0; trial < 3; trial += 1) {
      await expect(shared.take(KEY, failing(noiseStream(9_000, 100), mishap))).rejects.toBe(mishap);
    }
    await (await shared.take(KEY, noiseStream(10_000, 100))).close();
  });
});
