import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { SystemClock } from '../../substrate/clock/system.clock.js';
import type { DatabaseServer } from '../../substrate/database/database.port.js';
import { SHARED_SCHEMA } from '../../substrate/database/roles.js';
import type { Health } from '../../substrate/health.js';
import type { ProfileFlags } from '../flags.js';
import { type DataFolder, openDataFolder } from '../data-folder.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { loadProfile, NODE_MINIMUM, type Profile } from '../profile.js';
import { openBus, openDatabase, openObjects, schemasOf } from '../substrates.js';
import { openTelemetry } from '../telemetry.js';
import { table, type Terminal } from '../terminal.js';
import { boundsBelow } from '../retention-bound.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { VERSION } from '../version.js';

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What to do; empty when all is well. */
  readonly remedy: string;
}

/** Less than this and the database will soon stop the platform; a fresh one takes about 50 MB. */
const FREE_BYTES_MIN = 512 * 1024 * 1024;

/** Beyond this, tokens are refused as not yet valid or expired, and times of different machines cannot be compared. */
const CLOCK_SKEW_MAX_MS = 1_000;

/** Tries everything that a start needs, one after the other, and says what to do about what fails. Changes no data. */
export async function doctor(units: UnitTable, flags: ProfileFlags, terminal: Terminal): Promise<ExitCode> {
  const findings: Finding[] = [nodeVersion()];
  const profile = loadProfile(flags.profile, policyKindsOf(units));
  findings.push({
    check: 'profile',
    ok: true,
    detail: `${flags.profile} is valid (env ${profile.wiring.env})`,
    remedy: '',
  });
  findings.push(retention(profile));
  const folder = openDataFolder(flags.data);
  findings.push(dataFolder(folder));
  if (findings.every(({ ok }) => ok)) findings.push(...(await substrates(units, profile, folder)));

  const failed = findings.filter(({ ok }) => !ok);
  terminal.answer({ ok: failed.length === 0, findings }, [
    ...table(
      ['', 'CHECK', 'FOUND'],
      findings.map(({ check, ok, detail }) => [ok ? 'ok' : 'FAILED', check, detail]),
    ),
    ...failed.map(({ check, remedy }) => `${check}: ${remedy}`),
  ]);
  return failed.length === 0 ? EXIT.OK : EXIT.FAILED;
}

/** What the bus deletes by itself is asked of nobody: its own bound has to lie above what the policy keeps. */
function retention(profile: Profile): Finding {
  const low = boundsBelow(profile.wiring.topics, profile.policies.get('ops.retention')?.body);
  const told = low.map(
    ({ topic, retention_ms, keep_ms }) => `${topic}: ${retention_ms} ms, kept ${keep_ms ?? 'for ever'}`,
  );
  return {
    check: 'retention',
    ok: low.length === 0,
    detail: low.length === 0 ? 'no topic ends before the policy ops.retention ends it' : told.join('; '),
    remedy: low.length === 0 ? '' : 'set retention_ms of the topic in the wiring to null, or well above keep_ms',
  };
}

function nodeVersion(): Finding {
  const found = process.versions.node;
  const ok = found.localeCompare(NODE_MINIMUM, undefined, { numeric: true }) >= 0;
  return { check: 'node', ok, detail: `version ${found}`, remedy: ok ? '' : `install Node ${NODE_MINIMUM} or later` };
}

function dataFolder(folder: DataFolder): Finding {
  const check = 'data folder';
  const trial = join(folder.root, `.trial-${randomBytes(6).toString('hex')}`);
  try {
    writeFileSync(trial, 'x', { flush: true });
    rmSync(trial);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return {
      check,
      ok: false,
      detail: `${folder.root} cannot be written (${reason})`,
      remedy: 'choose another with --data',
    };
  }
  const { bavail, bsize } = statfsSync(folder.root);
  const free = bavail * bsize;
  const ok = free >= FREE_BYTES_MIN;
  const detail = `${folder.root}, ${Math.floor(free / 1024 / 1024)} MB free`;
  return { check, ok, detail, remedy: ok ? '' : `free space: at least ${FREE_BYTES_MIN / 1024 / 1024} MB are wanted` };
}

async function substrates(units: UnitTable, profile: Profile, folder: DataFolder): Promise<readonly Finding[]> {
  const clock = new SystemClock();
  const opening = { profile, folder, table: units, component: 'doctor', clock };
  const otel = openTelemetry({
    component: 'doctor',
    version: VERSION,
    env: profile.wiring.env,
    clock,
    logLevel: 'error',
    destination: { write: () => undefined },
  });
  const findings: Finding[] = [];
  let database: DatabaseServer | undefined;
  try {
    database = await openDatabase(opening);
    const server = database;
    const schemas = schemasOf(units.units, profile);
    // An embedded database belongs to this folder alone, so bringing it up to date is what the next start would do anyway.
    if (profile.wiring.database.kind === 'embedded') await database.migrate(schemas);
    findings.push(await tried('database', () => server.health()));
    findings.push(
      await tried('schemas', async () => {
        await server.verify(schemas);
        return { ok: true, detail: 'up to date', tookMs: 0 };
      }),
    );
    findings.push(await clockSkew(server, clock));
    findings.push(await closing('bus', () => openBus(opening, server, otel.telemetry)));
    findings.push(await closing('objects', () => openObjects(opening)));
  } catch (error) {
    findings.push(failure('database', error));
  } finally {
    await database?.close(profile.wiring.stop_timeout_ms);
    await otel.shutdown();
  }
  return findings;
}

async function closing(
  check: string,
  open: () => Promise<{ health(): Promise<Health>; close(): Promise<void> }>,
): Promise<Finding> {
  try {
    const opened = await open();
    try {
      return await tried(check, () => opened.health());
    } finally {
      await opened.close();
    }
  } catch (error) {
    return failure(check, error);
  }
}

async function tried(check: string, work: () => Promise<Health>): Promise<Finding> {
  try {
    const { ok, detail } = await work();
    return {
      check,
      ok,
      detail,
      remedy: ok ? '' : `see that the ${check} named in the profile is up and lets this machine in`,
    };
  } catch (error) {
    return failure(check, error);
  }
}

function failure(check: string, error: unknown): Finding {
  if (!isProbityError(error)) throw error;
  return { check, ok: false, detail: error.message, remedy: error.remedy };
}

/** Half of the round trip is the most by which the server's answer can be old. */
async function clockSkew(database: DatabaseServer, clock: SystemClock): Promise<Finding> {
  const before = clock.nowMs();
  const { rows } = await database
    .forSchema(SHARED_SCHEMA)
    .query<{ now_ms: number }>('select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms');
  const after = clock.nowMs();
  const skewMs = Math.abs((rows[0]?.now_ms ?? 0) - (before + after) / 2);
  const ok = skewMs <= CLOCK_SKEW_MAX_MS;
  return {
    check: 'clock',
    ok,
    detail: `${Math.round(skewMs)} ms from the database's clock`,
    remedy: ok ? '' : 'let both machines follow a time server (NTP)',
  };
}
