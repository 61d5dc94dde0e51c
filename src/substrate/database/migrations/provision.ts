import pg from 'pg';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Queryable, SchemaName } from '../database.port.js';
import { OWNER_ROLE, passwordNote, roleOf, scramVerifier, UNIT_ROLE } from '../roles.js';

export interface RoleLogin {
  readonly schema: SchemaName;
  readonly password: string;
}

const id = (name: string): string => pg.escapeIdentifier(name);
const text = (value: string): string => pg.escapeLiteral(value);

/**
 * Makes what is missing of roles and schemas, as the administrator and under the migration lock. Each step first looks, so
 * that a start on a database that is in order writes nothing.
 */
export async function provision(admin: Queryable, logins: readonly RoleLogin[]): Promise<void> {
  await provisionRoles(admin, logins);
  await provisionDatabase(admin);
  await provisionSchemas(
    admin,
    logins.map(({ schema }) => schema),
  );
}

async function provisionRoles(admin: Queryable, logins: readonly RoleLogin[]): Promise<void> {
  const names = [OWNER_ROLE, UNIT_ROLE, ...logins.map(({ schema }) => roleOf(schema))];
  const { rows } = await admin.query<{ name: string; note: string | null }>(
    `select rolname as name, shobj_description(oid, 'pg_authid') as note from pg_roles where rolname = any($1)`,
    [names],
  );
  const notes = new Map(rows.map(({ name, note }) => [name, note]));
  const steps = [
    ...[OWNER_ROLE, UNIT_ROLE].filter((name) => !notes.has(name)).map((name) => `create role ${name} nologin`),
    ...(notes.has(OWNER_ROLE) ? [] : [GRANT_OWNER_TO_ADMIN]),
    ...logins.flatMap(({ schema, password }) => loginSteps(roleOf(schema), password, notes)),
  ];
  if (steps.length > 0) await admin.query(steps.join(';\n'));
}

/** An administrator who is no superuser (managed servers) acts as the owner by membership. */
const GRANT_OWNER_TO_ADMIN = `do $$ begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant ${OWNER_ROLE} to %I', current_user);
  end if;
end $$`;

function loginSteps(role: string, password: string, notes: ReadonlyMap<string, string | null>): readonly string[] {
  const note = passwordNote(password);
  if (notes.get(role) === note) return [];
  const made = notes.has(role) ? `alter role ${id(role)}` : `create role ${id(role)}`;
  return [
    `${made} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password ${text(scramVerifier(password))}`,
    `grant ${UNIT_ROLE} to ${id(role)}`,
    `comment on role ${id(role)} is ${text(note)}`,
  ];
}

/** What every role may by default (connect, temporary tables, run any function) only the platform's own may here. */
async function provisionDatabase(admin: Queryable): Promise<void> {
  const { rows } = await admin.query<{ database: string; open: boolean; entitled: boolean; defaults: boolean }>(
    `select current_database() as database,
       has_database_privilege('public', current_database(), 'connect, temporary') as open,
       has_database_privilege('${UNIT_ROLE}', current_database(), 'connect') as entitled,
       exists (select from pg_default_acl where defaclrole = '${OWNER_ROLE}'::regrole and defaclnamespace = 0) as defaults`,
  );
  const [state] = rows;
  if (state === undefined) throw new ProbityError('DATABASE_UNAVAILABLE', 'the database did not describe itself');
  const steps = [
    ...(state.open ? [`revoke all on database ${id(state.database)} from public`] : []),
    ...(state.entitled && !state.open ? [] : [`grant connect on database ${id(state.database)} to ${UNIT_ROLE}`]),
    ...(state.open ? [`revoke create on schema public from public`] : []),
    ...(state.defaults
      ? []
      : [
          `alter default privileges for role ${OWNER_ROLE} revoke execute on routines from public`,
          `alter default privileges for role ${OWNER_ROLE} revoke usage on types from public`,
        ]),
  ];
  if (steps.length > 0) await admin.query(steps.join(';\n'));
}

async function provisionSchemas(admin: Queryable, schemas: readonly SchemaName[]): Promise<void> {
  const { rows } = await admin.query<{ name: string; owner: string }>(
    'select nspname as name, pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = any($1)',
    [schemas],
  );
  const foreign = rows.find(({ owner }) => owner !== OWNER_ROLE);
  if (foreign !== undefined) {
    throw new ProbityError(
      'DATABASE_FORBIDDEN',
      `schema ${foreign.name} stands in the database already and belongs to ${foreign.owner}; the platform wants a database of its own`,
    );
  }
  const present = new Set(rows.map(({ name }) => name));
  const missing = schemas.filter((schema) => !present.has(schema));
  // One text is one transaction: a crash leaves either the whole schema with its rights or nothing of it.
  if (missing.length > 0) await admin.query(missing.flatMap(schemaSteps).join(';\n'));
}

/**
 * A schema, its table of migrations, and what its unit may do with whatever migrations will make in it. The table comes
 * before the default rights, so that no unit can write its own history.
 */
function schemaSteps(schema: SchemaName): readonly string[] {
  const name = id(schema);
  const role = id(roleOf(schema));
  const defaults = `alter default privileges for role ${OWNER_ROLE} in schema ${name} grant`;
  return [
    `create schema ${name} authorization ${OWNER_ROLE}`,
    `set local role ${OWNER_ROLE}`,
    `create table ${name}.migrations (
       id serial primary key,
       "timestamp" bigint not null,
       name varchar not null unique,
       sha256 text not null default current_setting('probity.migration_sha256'),
       applied_at timestamptz not null default now()
     )`,
    `grant usage on schema ${name} to ${role}`,
    `grant select on ${name}.migrations to ${role}`,
    `${defaults} select, insert, update, delete, truncate on tables to ${role}`,
    `${defaults} usage, select, update on sequences to ${role}`,
    `${defaults} execute on routines to ${role}`,
    `${defaults} usage on types to ${role}`,
    'reset role',
  ];
}
