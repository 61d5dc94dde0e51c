import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { SchemaName } from './database.port.js';

/** Owns every object; nobody logs in as it. Migrations run as it, and only it may change append-only tables. */
export const OWNER_ROLE = 'probity_owner';
/** Every unit's role is a member, so that a function that all units may call is granted once. */
export const UNIT_ROLE = 'probity_unit';
const SCHEMA_NAME = /^[a-z][a-z0-9_]{0,39}$/;
const RESERVED = new Set(['public', 'information_schema', 'owner', 'unit']);

/** @throws ProbityError VALUE_INVALID for a name that is no schema of ours or whose role would be one of the two above */
export function schemaName(value: string): SchemaName {
  if (!SCHEMA_NAME.test(value) || value.startsWith('pg_') || RESERVED.has(value)) {
    throw new ProbityError(
      'VALUE_INVALID',
      `"${value}" cannot be a schema: lower-case letters, digits and underscores, 40 at most`,
    );
  }
  return value as SchemaName;
}

/** The shared schema: functions that every unit's migrations use. Always migrated first. */
export const SHARED_SCHEMA = schemaName('probity');

/** The role that a schema's owner logs in as. */
export function roleOf(schema: SchemaName): string {
  return `probity_${schema}`;
}

/** Half of sha-256's output: below it the passwords could be guessed through their secret. */
const SECRET_CHARS_MIN = 32;

/** @throws ProbityError VALUE_INVALID, without the secret in its words */
export function demandStrongSecret(secret: string): void {
  if (secret.length < SECRET_CHARS_MIN) {
    throw new ProbityError(
      'VALUE_INVALID',
      `the role secret has ${secret.length} characters and needs ${SECRET_CHARS_MIN}`,
    );
  }
}

/** One secret for the platform, one password for each role: a unit that leaks its own gives away no other. */
export function derivePassword(secret: string, role: string): string {
  return createHmac('sha256', secret).update(`probity database role ${role}`).digest('base64url');
}

/**
 * Names the password that a role has, without telling it (law C3): a role whose note says otherwise gets the new one.
 * A hash of 256 random bits cannot be searched back.
 */
export function passwordNote(password: string): string {
  const id = createHash('sha256').update(`probity password id ${password}`).digest('hex').slice(0, 16);
  return `probity: password ${id}`;
}

const SCRAM_ITERATIONS = 4096;

/**
 * What the server keeps of a password (RFC 5803). It is made here, so that the password itself stands in no statement:
 * a server that logs DDL would write it into its log.
 */
export function scramVerifier(password: string, salt: Uint8Array = randomBytes(16)): string {
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`;
}
