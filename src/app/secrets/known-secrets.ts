import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';
import type { SchemaName } from '../../substrate/database/database.port.js';
import { prepareLayout, readOrMakeSecrets } from '../../substrate/database/embedded/layout.js';
import { derivePassword, OWNER_ROLE, roleOf } from '../../substrate/database/roles.js';
import { type SecretRef, SecretRefSchema } from '../../substrate/secrets/secrets.port.js';
import type { DataFolder } from '../data-folder.js';
import { readKey } from '../local-keys.js';
import type { Profile } from '../profile.js';
import { type NamedSecret, secretPartOf } from './needles.core.js';

const refs = validatorOf(SecretRefSchema, 'the place');

/** Every secret that this installation knows of, here: what the wiring and the policies name, what is derived from it, and the keys of the data folder. */
export function knownSecrets(
  profile: Profile,
  folder: DataFolder,
  schemas: readonly SchemaName[],
): readonly NamedSecret[] {
  const { wiring, settings } = profile;
  const { database, bus, objects } = wiring;
  const named: (readonly [string, SecretRef])[] = [];
  if (database.kind === 'external') {
    named.push(['database.role_secret', database.role_secret]);
    if (database.admin !== undefined) named.push(['database.admin.password', database.admin.password]);
  }
  if (bus.kind === 'kafka' && bus.sasl !== undefined) named.push(['bus.sasl.password', bus.sasl.password]);
  if (objects.kind === 's3') named.push(['objects.secret_access_key', objects.secret_access_key]);
  for (const [policyId, { body }] of profile.policies) named.push(...refsIn(body, policyId));
  const read = named.flatMap(([name, ref]) => {
    try {
      return [{ name, value: settings.read(ref) }];
    } catch (error) {
      // What only other processes are given cannot be looked for here.
      if (isProbityError(error, 'CONFIG_SECRET_MISSING')) return [];
      throw error;
    }
  });
  if (database.kind === 'embedded') {
    const { adminPassword, roleSecret } = readOrMakeSecrets(prepareLayout(folder.postgres));
    read.push({ name: 'database.role_secret', value: roleSecret });
    read.push({ name: 'database.admin.password', value: adminPassword });
  }
  const secret = read.find(({ name }) => name === 'database.role_secret')?.value;
  const roles = secret === undefined ? [] : [OWNER_ROLE, ...schemas.map(roleOf)];
  const passwords = roles.map((role) => ({
    name: `the password of ${role}`,
    value: derivePassword(secret ?? '', role),
  }));
  return [...read, ...passwords, ...keysOf(folder)];
}

/** Where a policy names the place of a secret. */
function refsIn(value: unknown, path: string): (readonly [string, SecretRef])[] {
  if (typeof value !== 'object' || value === null) return [];
  const checked = refs.check(value);
  if (checked.ok) return [[path, checked.value]];
  return Object.entries(value).flatMap(([name, member]) => refsIn(member, `${path}.${name}`));
}

/** API keys by what is secret in them, and signing keys. */
function keysOf({ keys }: DataFolder): readonly NamedSecret[] {
  return readdirSync(keys)
    .filter((file) => /\.(key|signing-key)$/.test(file))
    .map((file) => ({ name: `keys/${file}`, value: secretPartOf(readKey(join(keys, file))) }));
}
