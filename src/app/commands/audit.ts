import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { readCheckpoint } from '../../rails/tlog/checkpoint.js';
import { noteSigner, noteVerifier, signingKeyText } from '../../rails/tlog/note.js';
import { TILE_WIDTH, tilePath, widthIn } from '../../rails/tlog/tiles.js';
import { type LogFiles, verifyLog } from '../../rails/tlog/verify-log.js';
import { AuditApi } from '../client/audit-api.js';
import { auditReport, auditVerified } from '../client/audited.js';
import type { Travel } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { figures, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

const PUBLIC_KEY = 'public-key';
const AT_ONCE = 16;

export interface ExportFlags extends DoorFlags {
  readonly to: string;
}

/** Writes the log as the format has it: a folder that anybody can check with tools of other people, without a network. */
export async function exportAudit(units: UnitTable, flags: ExportFlags, terminal: Terminal): Promise<ExitCode> {
  const { to } = flags;
  if (existsSync(to) && (await readdir(to)).length > 0)
    throw new ProbityError('CONFIG_INVALID', `${to} is not empty: an export is written into a folder of its own`);
  return await throughDoor({ table: units, flags, terminal, name: 'audit', roles: ['dla'] }, async (travel) => {
    const { size, files } = await exported(travel, to);
    travel.progress.clear();
    terminal.answer({ size, files, folder: to }, [
      ...figures([
        ['leaves', thousands(size)],
        ['files', thousands(files)],
      ]),
      `Check it anywhere: probity verify audit --dir ${to} --public-key ${join(to, PUBLIC_KEY)}`,
    ]);
    return EXIT.OK;
  });
}

async function exported(travel: Travel, to: string): Promise<{ readonly size: number; readonly files: number }> {
  const api = new AuditApi(travel.api);
  const note = await api.file('checkpoint');
  const checkpoint = readCheckpoint(note.toString('utf8'));
  if (checkpoint === null) throw new ProbityError('RPC_RESPONSE_INVALID', 'the checkpoint is none');
  const { size } = checkpoint;
  const paths = pathsOf(size);
  for (let after: number | null = null; ;) {
    const sizes = await api.sizes(after);
    paths.push(...sizes.filter((each) => each <= size).map((each) => `checkpoints/${each}`));
    const last = sizes.at(-1);
    if (last === undefined || last >= size) break;
    after = last;
  }
  let done = 0;
  for (let at = 0; at < paths.length; at += AT_ONCE) {
    await Promise.all(paths.slice(at, at + AT_ONCE).map(async (path) => put(to, path, await api.file(path))));
    done += Math.min(AT_ONCE, paths.length - at);
    travel.progress.at('Writing the audit log', done, paths.length);
  }
  await put(to, PUBLIC_KEY, await api.file(PUBLIC_KEY));
  // Last, as in the store: what has a checkpoint is whole.
  await put(to, 'checkpoint', note);
  return { size, files: paths.length + 2 };
}

/** Every tile and bundle of a tree of so many leaves. */
function pathsOf(size: number): string[] {
  const paths: string[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index += 1)
    paths.push(tilePath('entries', index, widthIn(size, 0, index)));
  for (let level = 0; widthIn(size, level, 0) > 0; level += 1)
    for (let index = 0; widthIn(size, level, index) > 0; index += 1)
      paths.push(tilePath(level, index, widthIn(size, level, index)));
  return paths;
}

async function put(folder: string, path: string, bytes: Buffer): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

export interface VerifyAuditFlags extends DoorFlags {
  readonly dir?: string;
  readonly publicKey?: string;
  readonly checkpoint?: string;
}

/** Has the log checked where it is kept; with --dir checks an export, on a machine that knows nothing of this platform. */
export async function verifyAudit(units: UnitTable, flags: VerifyAuditFlags, terminal: Terminal): Promise<ExitCode> {
  const { dir, publicKey, checkpoint } = flags;
  if (dir !== undefined) return await verifyExport({ dir, publicKey, checkpoint }, terminal);
  if (publicKey !== undefined || checkpoint !== undefined)
    throw new ProbityError('CONFIG_INVALID', '--public-key and --checkpoint go with --dir, the folder of an export');
  return await throughDoor({ table: units, flags, terminal, name: 'verify', roles: ['dla'] }, async (travel) => {
    const { document, lines, ok } = auditReport(await auditVerified(travel));
    travel.progress.clear();
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

async function verifyExport(
  {
    dir,
    publicKey,
    checkpoint,
  }: { readonly dir: string; readonly publicKey: string | undefined; readonly checkpoint: string | undefined },
  terminal: Terminal,
): Promise<ExitCode> {
  if (publicKey === undefined)
    throw new ProbityError(
      'CONFIG_INVALID',
      'say whose signature is believed: --public-key FILE, which you had from the owner of the log and not with the export',
    );
  const verifier = noteVerifier(await readFile(publicKey, 'utf8'));
  const files: LogFiles = { read: (path) => readOr(join(dir, path)) };
  const notes = [{ name: 'checkpoint', note: (await readOr(join(dir, 'checkpoint')))?.toString('utf8') ?? '' }];
  for (const name of await readdir(join(dir, 'checkpoints')).catch(() => []))
    notes.push({ name: `checkpoints/${name}`, note: await readFile(join(dir, 'checkpoints', name), 'utf8') });
  const newest = Math.max(...notes.map(({ note }) => readCheckpoint(note)?.size ?? 0));
  const told = readCheckpoint(notes[0]?.note ?? '')?.size ?? 0;
  if (checkpoint !== undefined) notes.push({ name: checkpoint, note: await readFile(checkpoint, 'utf8') });
  const kept = checkpoint === undefined ? 0 : (readCheckpoint(notes.at(-1)?.note ?? '')?.size ?? 0);
  const behind = Math.max(newest, kept);
  const found = await verifyLog({ files, verifier, notes });
  const fault =
    found.fault ??
    (told < behind
      ? {
          file: 'checkpoint',
          says: `is of ${told} leaves, and the log has signed ${behind} already: an older one was put back`,
        }
      : undefined);
  const ok = fault === undefined;
  terminal.answer({ verified: ok, size: found.size, checkpoints: notes.length, ...(ok ? {} : { fault }) }, [
    ...figures([
      ['leaves', thousands(found.size)],
      ['checkpoints', thousands(notes.length)],
      ['signed by', verifier.name],
    ]),
    ...(ok
      ? ['Audit log verified: every leaf is under the signed root.']
      : [`The first that is not as it must be: ${fault.file} ${fault.says}`, 'Audit log NOT verified.']),
  ]);
  return ok ? EXIT.OK : EXIT.FAILED;
}

async function readOr(file: string): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Makes the key that signs a log; the private half goes into a file that its owner alone can read. */
export async function makeAuditKey(name: string, file: string, terminal: Terminal): Promise<ExitCode> {
  const key = signingKeyText(name, randomBytes(32));
  try {
    await writeFile(file, `${key}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be made (${reason}); a key is never overwritten`, {
      cause,
    });
  }
  const { text } = noteSigner(key).verifier;
  terminal.answer({ file, public_key: text }, [`Signing key: ${file}`, `Public key: ${text}`]);
  return EXIT.OK;
}
