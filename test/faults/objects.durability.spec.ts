import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import {
  BINARY,
  bytesOf,
  freshPrefix,
  keyUnder,
  noise,
  noiseStream,
  refusal,
  TEXT,
} from '../../src/substrate/objects/contract/kit.js';
import { type DiskEvent, WatchedDisk } from '../support/objects-disk.js';

const disk = new WatchedDisk();
jest.unstable_mockModule('node:fs/promises', () => disk.module());
// Imported after the mock, and nothing above imports the adapter: it would have the real module.
const { FilesObjects } = await import('../../src/substrate/objects/files.objects.js');
type Store = Awaited<ReturnType<typeof FilesObjects.open>>;

/** What would be missing after a power cut now, had the put of this path been acknowledged. */
function lacking(events: readonly DiskEvent[], path: string): string[] {
  const at = (call: DiskEvent['call'], where: string): number =>
    events.findLastIndex((event) => event.call === call && event.path === where);
  const faults: string[] = [];
  const linked = events.findIndex((event) => event.call === 'link' && event.path === path);
  const link = events[linked];
  if (link?.call === 'link') {
    if (at('sync', link.from) > linked || at('sync', link.from) < at('write', link.from)) {
      faults.push('the bytes were not on the disk when they got their name');
    }
    if (at('sync', dirname(path)) < linked) faults.push('the name is not on the disk');
  }
  for (const [made, event] of events.entries()) {
    if (event.call === 'mkdir' && at('sync', dirname(event.path)) < made)
      faults.push(`${event.path} is not on the disk`);
  }
  return faults;
}

describe('files adapter on a watched disk', () => {
  let folder = '';
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'probity objects-'));
    store = await FilesObjects.open(folder, new SystemClock());
    disk.reset();
  });
  afterEach(async () => {
    disk.reset();
    await store.close();
    await rm(folder, { recursive: true });
  });

  const pathOf = (key: string): string => join(folder, 'objects', `${key}!`);

  describe('files: what is on the disk when a put is acknowledged', () => {
    it('has the bytes before the name, and the name and all folders above it before the answer', async () => {
      for (const body of [bytesOf('small'), noise(3_000_000), noiseStream(3_000_000)]) {
        const key = keyUnder(freshPrefix(), 'deep/er/object');
        const before = disk.events.length;
        expect((await store.putIfAbsent(key, body, BINARY)).outcome).toBe('NEW');
        const events = disk.events.slice(before);
        expect(events.filter(({ call }) => call === 'link')).toHaveLength(1);
        expect(lacking(events, pathOf(key))).toEqual([]);
      }
    });

    it('does not answer DUPLICATE before the name of the first is on the disk', async () => {
      const key = keyUnder(freshPrefix(), 'object');
      await store.putIfAbsent(key, bytesOf('same'), TEXT);
      disk.reset();
      expect((await store.putIfAbsent(key, bytesOf('same'), TEXT)).outcome).toBe('DUPLICATE');
      // The first writer may be one that died between its link() and its sync.
      expect(disk.events.filter(({ call, path }) => call === 'sync' && path === dirname(pathOf(key)))).toHaveLength(1);
    });

    it('makes sure of folders that another process made', async () => {
      const prefix = freshPrefix();
      const other = await FilesObjects.open(folder, new SystemClock());
      await other.putIfAbsent(keyUnder(prefix, 'shared/one'), bytesOf('x'), TEXT);
      await other.close();
      disk.reset();
      await store.putIfAbsent(keyUnder(prefix, 'shared/two'), bytesOf('x'), TEXT);
      const synced = disk.events.filter(({ call }) => call === 'sync').map(({ path }) => path);
      const root = join(folder, 'objects');
      expect(synced).toEqual(expect.arrayContaining([root, join(root, 'contract'), join(root, prefix).slice(0, -1)]));
    });

    it('shares syncs among puts of one folder, and each put still has one after its name', async () => {
      const prefix = freshPrefix();
      await store.putIfAbsent(keyUnder(prefix, 'first'), bytesOf('x'), TEXT);
      disk.reset();
      const keys = Array.from({ length: 60 }, (_, index) => keyUnder(prefix, `object-${index}`));
      await Promise.all(
        keys.map(async (key) => {
          await store.putIfAbsent(key, bytesOf(key), TEXT);
          expect(lacking(disk.events, pathOf(key))).toEqual([]);
        }),
      );
      const shared = disk.events.filter(({ call, path }) => call === 'sync' && path === dirname(pathOf(keys[0] ?? '')));
      expect(shared.length).toBeLessThan(keys.length);
    });
  });

  describe('files: what it opens', () => {
    it('is closed whether a call succeeds, is refused, fails, or is left half-way', async () => {
      const key = keyUnder(freshPrefix(), 'object');
      const { ref } = await store.putIfAbsent(key, noise(700_000), BINARY);
      await store.putIfAbsent(key, noise(700_000), BINARY);
      await store.putIfAbsent(key, bytesOf('other'), BINARY);
      await store.health();
      await store.list('');
      await store.readRange(ref, { start: 5, end: 9 });
      for await (const _chunk of store.open(ref)) break;
      const wrong = { ...ref, size: ref.size - 1 };
      await Promise.all([store.read(wrong), store.readRange(wrong, { start: 0, end: 1 })].map(refusal));
      await refusal(store.putIfAbsent(key, bytesOf('x'), { ...BINARY, expect: ref.digest.hex }));
      expect([disk.calls > 20, disk.open]).toEqual([true, 0]);
    });
  });

  describe('files: a disk that fails at any one call', () => {
    it.each(['ENOSPC', 'EIO'])('shows nothing, or the whole object, when it is %s', async (code) => {
      const seen = new Set<string>();
      for (let failing = 0; ; failing += 1) {
        disk.reset();
        const key = keyUnder(freshPrefix(), 'deep/object');
        let failed = '';
        disk.fail = (call, index) => {
          if (index !== failing) return null;
          failed = call;
          return { code };
        };
        const put = store.putIfAbsent(key, noise(700_000), BINARY);
        const result = await put.catch(() => null);
        const linked = disk.events.some(({ call }) => call === 'link');
        disk.fail = () => null;
        if (failed === '') {
          expect(result?.outcome).toBe('NEW');
          break;
        }
        seen.add(failed);
        const error = await refusal(put);
        const standing = await store.head(key);
        // After the name is there, no error may promise that nothing is.
        const expected = code === 'ENOSPC' && !linked ? 'OBJECTS_STORE_FULL' : 'OBJECTS_UNAVAILABLE';
        expect([failed, error.code, standing !== null]).toEqual([failed, expected, linked]);
        expect(error.message).not.toContain(folder);
        const again = await store.putIfAbsent(key, noise(700_000), BINARY);
        expect([again.outcome, disk.open]).toEqual([linked ? 'DUPLICATE' : 'NEW', 0]);
        expect((await store.read(again.ref)).byteLength).toBe(700_000);
      }
      expect([...seen].sort()).toEqual(['link', 'mkdir', 'open', 'sync', 'write']);
    });

    it('answers a link() that a network file system repeated and then refused', async () => {
      const key = keyUnder(freshPrefix(), 'object');
      // The server did it, the answer was lost, and the second trial met its own work.
      disk.fail = (call) => (call === 'link' ? { code: 'EEXIST', done: true } : null);
      const result = await store.putIfAbsent(key, bytesOf('once'), TEXT);
      expect(result.outcome).toBe('NEW');
    });
  });
});
