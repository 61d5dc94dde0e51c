import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import {
  BINARY,
  bytesOf,
  collect,
  eventually,
  freshPrefix,
  keyUnder,
  noiseStream,
  refusal,
  TEXT,
} from '../../src/substrate/objects/contract/kit.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { tamperFile, temporaryFolder } from '../support/objects-harness.js';
import { crashRounds } from '../support/objects-crash.js';
import { STORE_VARIABLE } from '../support/objects-store.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
const clock = new SystemClock();

describe('files: a writer that is killed', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => rm(folder, { recursive: true }));

  it(
    'leaves whole objects or nothing, and what was acknowledged stays',
    async () => {
      const totals = await crashRounds({
        spec: { kind: 'files', folder },
        rounds: FULL ? 60 : 5,
        bytesMax: 3_000_000,
        openStore: () => FilesObjects.open(folder, clock),
      });
      expect(totals.acknowledged).toBeGreaterThan(totals.rounds * 5);
      // The kills came in the middle of puts, or this test shows little.
      expect(totals.unanswered).toBeGreaterThan(totals.rounds);
    },
    FULL ? 600_000 : 60_000,
  );

  it('leaves nothing under incoming/ once the next process has started', async () => {
    const store = await FilesObjects.open(folder, clock);
    expect(await writersUnder(folder)).toHaveLength(1);
    await store.close();
    expect(await writersUnder(folder)).toEqual([]);
  });
});

describe('files: sweeping what dead writers left', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('never takes the file of a live writer, in this process or another', async () => {
    const store = await FilesObjects.open(folder, clock);
    let resume = (): void => undefined;
    const paused = new Promise<void>((resolve) => (resume = resolve));
    let half = false;
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield* noiseStream(600_000);
      half = true;
      await paused;
      yield* noiseStream(1_000);
    }
    const put = store.putIfAbsent(keyUnder(freshPrefix(), 'slow'), slow(), BINARY);
    await eventually(() => half);
    // Another instance here, and one in a process of its own, which cannot know this one by anything but its pid.
    const second = await FilesObjects.open(folder, clock);
    await second.close();
    const script = `import { openStore } from './.build/test/support/objects-store.js';
      const store = await openStore({ kind: 'files', folder: process.argv[1] }); await store.close();`;
    execFileSync(process.execPath, ['--input-type=module', '-e', script, folder], {
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    resume();
    expect((await put).outcome).toBe('NEW');
    await store.close();
  });

  it('takes what a process left whose pid was given out again', async () => {
    const store = await FilesObjects.open(folder, clock);
    const realm = (await readdir(join(folder, 'incoming')))[0] ?? '';
    const left = join(folder, 'incoming', realm, `${process.pid}.1.abcdef`);
    await mkdir(left);
    await writeFile(join(left, '1'), 'half an object');
    await (await FilesObjects.open(folder, clock)).close();
    await expect(stat(left)).rejects.toThrow('ENOENT');
    await store.close();
  });

  it('takes what another machine left only when nobody has touched it for a day', async () => {
    const quiet = join(folder, 'incoming', 'fedcba9876543210', '7.7.aaaaaa');
    const busy = join(folder, 'incoming', '0123456789abcdef', '7.7.bbbbbb');
    for (const writer of [quiet, busy]) {
      await mkdir(writer, { recursive: true });
      await writeFile(join(writer, '1'), 'half an object');
    }
    const longAgo = new Date(clock.nowMs() - 25 * 60 * 60 * 1_000);
    await utimes(join(quiet, '1'), longAgo, longAgo);
    await utimes(quiet, longAgo, longAgo);
    // The folder is old, but the file in it is being written.
    await utimes(busy, longAgo, longAgo);
    await (await FilesObjects.open(folder, clock)).close();
    await expect(stat(quiet)).rejects.toThrow('ENOENT');
    expect((await stat(join(busy, '1'))).size).toBe(14);
  });

  it('goes on when its folder was taken away all the same', async () => {
    const store = await FilesObjects.open(folder, clock);
    for (const writer of await writersUnder(folder)) await rm(writer, { recursive: true });
    const { outcome } = await store.putIfAbsent(keyUnder(freshPrefix(), 'after'), bytesOf('x'), TEXT);
    expect(outcome).toBe('NEW');
    await store.close();
  });
});

describe('files: a disk that is full', () => {
  it('says STORE_FULL, shows nothing, leaves nothing, and goes on when there is room', async () => {
    const folder = await temporaryFolder();
    const unmount = mountSmall(folder);
    try {
      const report = await putTooMuch(folder, unmount === null);
      expect(report).toEqual({
        codes: ['OBJECTS_STORE_FULL', 'OBJECTS_STORE_FULL'],
        visible: [],
        left: 0,
        after: 'NEW',
      });
    } finally {
      unmount?.();
      await rm(folder, { recursive: true });
    }
  });
});

describe('files: a seal that was touched', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('is found by head and by every way to read, wherever it was touched', async () => {
    const store = await FilesObjects.open(folder, clock);
    for (const offset of [0, 20, 100, 300, 446, 447, 510, 511]) {
      const key = keyUnder(freshPrefix(), 'object');
      const { ref } = await store.putIfAbsent(key, bytesOf('as it was'), TEXT);
      await tamperFile(join(folder, 'objects', `${key}!`), { how: 'flip', offset: ref.size + offset });
      const errors = await Promise.all(
        [store.head(key), store.read(ref), collect(store.open(ref)), store.readRange(ref, { start: 0, end: 1 })].map(
          refusal,
        ),
      );
      expect(errors.map(({ code, data }) => [offset, code, data['key']])).toEqual(
        errors.map(() => [offset, 'OBJECTS_DIGEST_MISMATCH', key]),
      );
    }
    await store.close();
  });
});

/** A file system of 2 MB where this user may mount one; null where not. */
function mountSmall(folder: string): (() => void) | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return () => execFileSync('umount', [folder]);
}

/** A child puts 4 MB where there are 2: on the small file system, or below a limit on the size of files. */
async function putTooMuch(folder: string, limitFiles: boolean): Promise<unknown> {
  const child = spawn(
    'sh',
    [
      '-c',
      `${limitFiles ? 'ulimit -f 2048; ' : ''}exec "$0" --no-warnings .build/test/support/objects-full.js`,
      process.execPath,
    ],
    {
      env: { ...process.env, NODE_OPTIONS: '', [STORE_VARIABLE]: JSON.stringify({ kind: 'files', folder }) },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) text += chunk.toString();
  return JSON.parse(text) as unknown;
}

async function writersUnder(folder: string): Promise<string[]> {
  const incoming = join(folder, 'incoming');
  const realms = await readdir(incoming);
  const writers = await Promise.all(
    realms.map(async (realm) => (await readdir(join(incoming, realm))).map((name) => join(incoming, realm, name))),
  );
  return writers.flat();
}
