import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditVerification } from '../../src/modules/decision-log-audit/audit-verification.service.js';
import { readCheckpoint } from '../../src/rails/tlog/checkpoint.js';
import { noteSigner, noteText, signingKeyText } from '../../src/rails/tlog/note.js';
import { decodeBundle, encodeBundle } from '../../src/rails/tlog/tiles.js';
import { fsck } from '../support/audit-fsck.js';
import { cli, type CliRun } from '../support/cli.js';
import { Door, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';

const ROWS = 400;

/**
 * A run's audit log out of the platform: checked by our own command and, with `fsck`, by a checker that is none of ours. Whatever is done to it afterwards is
 * found and named.
 */
export function auditSuite(flavour: 'embedded' | 'real', groups: readonly string[], withFsck: boolean): void {
  describe(`the audit log of a run, ${flavour}`, () => {
    const scratch = mkdtempSync(join(tmpdir(), 'probity audit-'));
    const folder = join(scratch, 'export');
    const publicKey = join(scratch, 'log.pub');
    let door: Door;

    beforeAll(async () => {
      door = await Door.open(flavour, groups);
      const { run_id } = await importedRun(door, handbookFile(ROWS, 41), `audit-${randomBytes(4).toString('hex')}`);
      expect(await door.settled(run_id)).toMatchObject({ state: 'READY' });
      await door.stream(run_id);
      await door.streamed(run_id);
      const outcomes = await door.decided(run_id, ROWS);
      const intents = ROWS + (outcomes['QUEUE'] ?? 0);
      await door.carriedOut(run_id, intents);
      const dla = await door.client('dla');
      const records = 2 * ROWS + 2 * intents;
      await eventually(
        async () => (await dla.get('/v1/audit/status')).body as { readonly signed: number },
        ({ signed }) => signed >= records,
        60_000,
      );
      const place = ['--url', dla.base, '--key-file', keyFile(dla.key ?? '')];
      const exported = await cli(['audit', 'export', '--to', folder, ...place]);
      expect([exported.code, exported.stderr]).toEqual([0, expect.any(String)]);
      writeFileSync(publicKey, readFileSync(join(folder, 'public-key')));
      const { verification_id } = (await dla.post('/v1/audit/verifications', {})).body as AuditVerification;
      const found = await eventually(
        async () => (await dla.get(`/v1/audit/verifications/${verification_id}`)).body as AuditVerification,
        ({ state }) => state !== 'RUNNING',
        60_000,
      );
      expect(found).toMatchObject({
        state: 'DONE',
        on_bus: records,
        by_kind: { event: ROWS, decision: ROWS, intent: intents, outcome: intents },
        intents_open: 0,
        outcomes_orphaned: 0,
      });
      expect(found.fault).toBeUndefined();
    }, 180_000);
    afterAll(async () => {
      await door.close();
      rmSync(scratch, { recursive: true });
    });

    function keyFile(key: string): string {
      const file = join(scratch, 'operator.key');
      writeFileSync(file, key, { mode: 0o600 });
      return file;
    }

    const verified = (dir: string, ...words: readonly string[]): Promise<CliRun> =>
      cli(['verify', 'audit', '--dir', dir, '--public-key', publicKey, '--json', ...words]);
    const fault = ({ code, stdout }: CliRun): unknown[] => {
      const { verified: ok, fault: found } = JSON.parse(stdout) as {
        verified: boolean;
        fault?: { file: string; says: string };
      };
      return [code, ok, found?.file, found?.says];
    };

    /** A copy of the export to do harm to. */
    function copy(harm: (dir: string) => void): string {
      const dir = mkdtempSync(join(scratch, 'harmed-'));
      cpSync(folder, dir, { recursive: true });
      harm(dir);
      return dir;
    }
    const edit = (path: string, change: (bytes: Buffer) => Buffer) => (dir: string) =>
      writeFileSync(join(dir, path), change(readFileSync(join(dir, path))));
    const leaves = (change: (all: Buffer[]) => Buffer[]) => (bytes: Buffer) =>
      encodeBundle(change([...(decodeBundle(bytes) ?? [])]));
    const flipped = (bytes: Buffer): Buffer => {
      const copied = Buffer.from(bytes);
      copied[700] = (copied[700] ?? 0) ^ 1;
      return copied;
    };
    const last = (): string => {
      const names = readdirSync(join(folder, 'tile/entries')).sort();
      const partial = names.find((name) => name.endsWith('.p')) ?? '';
      return `tile/entries/${partial}/${readdirSync(join(folder, 'tile/entries', partial))[0] ?? ''}`;
    };
    const olderOf = (dir: string): string => {
      const sizes = readdirSync(join(dir, 'checkpoints'))
        .map(Number)
        .sort((a, b) => a - b);
      return readFileSync(join(dir, 'checkpoints', String(sizes[0])), 'utf8');
    };

    it('verifies without any process, also against a checkpoint that was kept earlier', async () => {
      expect(fault(await verified(folder))).toEqual([0, true, undefined, undefined]);
      const kept = join(scratch, 'kept');
      writeFileSync(kept, olderOf(folder));
      expect((await verified(folder, '--checkpoint', kept)).code).toBe(0);
    });

    it.each<[string, (dir: string) => void, string, string]>([
      ['a bit flipped', edit('tile/entries/001', flipped), 'tile/entries/001', 'not the one that the tree was made of'],
      [
        'a leaf removed',
        edit(
          'tile/entries/001',
          leaves((all) => all.toSpliced(9, 1)),
        ),
        'tile/entries/001',
        'does not hold 256 leaves',
      ],
      [
        'two leaves swapped',
        edit(
          'tile/entries/001',
          leaves(([a, b, ...rest]) => (a === undefined || b === undefined ? [] : [b, a, ...rest])),
        ),
        'tile/entries/001',
        'leaf 256 is not the one',
      ],
      ['a hash changed', edit('tile/0/002', flipped), 'tile/entries/002', 'is not the one that the tree was made of'],
      [
        'a tile of tiles changed',
        (dir) => edit(partialOf(dir, 'tile/1'), (bytes) => flippedAt(bytes, 3))(dir),
        'tile/1/000.p',
        'does not hold the hashes',
      ],
      ['the tail cut', (dir) => unlinkSync(join(dir, last())), 'tile/entries/', 'is missing'],
      [
        'an older checkpoint put back',
        (dir) => writeFileSync(join(dir, 'checkpoint'), olderOf(dir)),
        'checkpoint',
        'an older one was put back',
      ],
      [
        'a forged signature',
        edit('checkpoint', (bytes) =>
          Buffer.from(
            noteSigner(signingKeyText(nameOf(bytes), randomBytes(32))).sign(noteText(bytes.toString()) ?? ''),
          ),
        ),
        'checkpoint',
        'carries no valid signature',
      ],
      [
        'a size changed under the signature',
        edit('checkpoint', (bytes) => Buffer.from(bytes.toString().replace(/\n\d+\n/, '\n256\n'))),
        'checkpoint',
        'carries no valid signature',
      ],
    ])('with %s does not verify, and says where', async (_name, harm, file, says) => {
      const [code, ok, found, why] = fault(await verified(copy(harm)));
      expect([code, ok]).toEqual([1, false]);
      expect(String(found)).toContain(file);
      expect(String(why)).toContain(says);
    });

    it('does not verify against a checkpoint of a longer log: its tail was cut', async () => {
      const kept = join(scratch, 'newest');
      writeFileSync(kept, readFileSync(join(folder, 'checkpoint')));
      const cut = copy((dir) => {
        writeFileSync(join(dir, 'checkpoint'), olderOf(dir));
        rmSync(join(dir, 'checkpoints'), { recursive: true });
        for (const name of readdirSync(join(dir, 'tile/entries')).sort().slice(1))
          rmSync(join(dir, 'tile/entries', name), { recursive: true });
      });
      const [code, , , why] = fault(await verified(cut, '--checkpoint', kept));
      expect([code, why]).toEqual([1, expect.stringContaining('is missing')]);
    });

    if (withFsck)
      it('passes a checker that is none of ours, and with one byte of one bundle changed it does not', async () => {
        const sound = await fsck(folder, publicKey);
        expect([sound.ok, sound.said]).toEqual([true, expect.stringContaining("Successfully fsck'd log")]);
        const harmed = await fsck(copy(edit('tile/entries/001', flipped)), publicKey);
        expect([harmed.ok, harmed.said]).toEqual([false, expect.stringContaining('fsck failed')]);
      }, 150_000);
  });
}

function partialOf(dir: string, level: string): string {
  const [name = ''] = readdirSync(join(dir, level)).filter((each) => each.endsWith('.p'));
  return `${level}/${name}/${
    readdirSync(join(dir, level, name))
      .sort()
      .at(-1) ?? ''
  }`;
}

function flippedAt(bytes: Buffer, at: number): Buffer {
  const copied = Buffer.from(bytes);
  copied[at] = (copied[at] ?? 0) ^ 1;
  return copied;
}

function nameOf(note: Buffer): string {
  return readCheckpoint(note.toString())?.origin ?? '';
}
