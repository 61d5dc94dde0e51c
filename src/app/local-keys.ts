import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestText } from '../rails/digest.js';
import { signingKeyText } from '../rails/tlog/note.js';
import type { AccessPolicy } from '../substrate/identity/access-policy.schema.js';
import { generateApiKey } from '../substrate/identity/api-key.js';

export interface LocalKey {
  readonly keyId: string;
  /** Where the key stands, readable by its owner alone. */
  readonly file: string;
}

export interface LocalKeys {
  /** The policy with the generated keys' hashes among its API keys. */
  readonly policy: AccessPolicy;
  readonly keys: readonly LocalKey[];
}

/**
 * Makes the keys that the policy wants generated, once per data folder: whoever starts later finds and uses the same ones,
 * also when two processes start at the same moment. Their hashes join the policy's list in memory only.
 */
export function openLocalKeys(policy: AccessPolicy, folder: string): LocalKeys {
  const wanted = policy.generated_keys ?? [];
  const keys = wanted.map(({ key_id }) => ({ keyId: key_id, file: join(folder, `${key_id}.key`) }));
  for (const { keyId, file } of keys) makeIfAbsent(file, () => generateApiKey(keyId).token);
  const listed = wanted.map(({ key_id, actor_id, roles }, index) => ({
    key_id,
    key_sha256: digestText(readKey(keys[index]?.file ?? '')),
    actor_id,
    roles,
  }));
  return { policy: { ...policy, api_keys: [...policy.api_keys, ...listed] }, keys };
}

/** The key that signs the audit log of this data folder, made at its first use; its name tells one folder's log from another's. */
export function openAuditKey(folder: string, env: string): string {
  const file = join(folder, 'audit-log.signing-key');
  makeIfAbsent(file, () => signingKeyText(`probity/${env}/${randomBytes(4).toString('hex')}`, randomBytes(32)));
  return readKey(file);
}

export function readKey(file: string): string {
  return readFileSync(file, 'utf8').trim();
}

/** Writes beside the place and links into it: of two processes that start together one wins, and nobody reads half a key. */
function makeIfAbsent(file: string, make: () => string): void {
  if (existsSync(file)) return;
  const incoming = `${file}.${process.pid}`;
  writeFileSync(incoming, `${make()}\n`, { mode: 0o600 });
  try {
    linkSync(incoming, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(incoming, { force: true });
  }
}
