import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../../substrate/clock/system.clock.js';
import { openProgress } from '../client/progress.js';
import { thousands } from '../client/progress.core.js';
import { prepareLayout } from '../../substrate/database/embedded/layout.js';
import { type DataFolder, openDataFolder } from '../data-folder.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { ProfileFlags } from '../flags.js';
import { loadProfile, type Profile } from '../profile.js';
import { knownSecrets } from '../secrets/known-secrets.js';
import { Needles } from '../secrets/needles.core.js';
import {
  type Place,
  placeOfFile,
  placesOfBus,
  placesOfDatabase,
  placesOfFiles,
  placesOfObjects,
} from '../secrets/places.js';
import { openBus, openDatabase, openObjects, schemasOf } from '../substrates.js';
import { openTelemetry } from '../telemetry.js';
import { table, type Terminal } from '../terminal.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { VERSION } from '../version.js';

interface Finding {
  readonly place: string;
  readonly secret: string;
}

/**
 * Looks for every secret of the installation, and for what has the shape of one, in all that it keeps: objects, tables, topics, logs, and its own
 * profile. Says where and which, never what. Exit 1 where anything was found.
 */
export async function scanSecrets(units: UnitTable, flags: ProfileFlags, terminal: Terminal): Promise<ExitCode> {
  const profile = loadProfile(flags.profile, policyKindsOf(units));
  const folder = openDataFolder(flags.data);
  const clock = new SystemClock();
  const schemas = schemasOf(units.units, profile);
  const needles = new Needles(knownSecrets(profile, folder, schemas));
  const progress = openProgress(terminal.screen, clock);
  const opening = { profile, folder, table: units, component: 'secrets-scan', clock };
  const otel = openTelemetry({
    ...{ component: 'secrets-scan', version: VERSION, env: profile.wiring.env, clock },
    ...{ logLevel: 'error', destination: { write: () => undefined } },
  });
  const findings: Finding[] = [];
  const looked = { places: 0, bytes: 0 };
  const look = async (place: Place): Promise<void> => {
    const { found, bytes } = await secretsIn(place, needles);
    looked.places += 1;
    looked.bytes += bytes;
    findings.push(...[...found].map((secret) => ({ place: place.name, secret })));
    progress.at('Looking for secrets', looked.bytes, undefined, 'bytes');
  };

  const database = await openDatabase(opening);
  try {
    const objects = await openObjects(opening);
    try {
      for await (const place of placesOfObjects(objects)) await look(place);
    } finally {
      await objects.close();
    }
    for await (const place of placesOfDatabase(database, schemas)) await look(place);
    // The embedded log is tables, which were looked into.
    if (profile.wiring.bus.kind === 'kafka') {
      const bus = await openBus(opening, database, otel.telemetry);
      try {
        for await (const place of placesOfBus(bus, Object.keys(units.topics))) await look(place);
      } finally {
        await bus.close();
      }
    }
    for (const place of placesOfLogs(folder, profile)) await look(place);
    for (const place of placesOfFiles(profile.folder, 'profile')) await look(place);
  } finally {
    progress.clear();
    await database.close(profile.wiring.stop_timeout_ms);
    await otel.shutdown();
  }
  const clean = findings.length === 0;
  const { short } = needles;
  terminal.answer({ clean, ...looked, findings, not_looked_for: short }, [
    ...(clean
      ? []
      : table(
          ['SECRET', 'FOUND IN'],
          findings.map(({ place, secret }) => [secret, place]),
        )),
    ...short.map((name) => `Too short to be looked for: ${name}`),
    `${thousands(looked.places)} places, ${thousands(looked.bytes)} bytes: ${clean ? 'no secret in any of them.' : 'change what was found: it has been seen.'}`,
  ]);
  return clean ? EXIT.OK : EXIT.FAILED;
}

/** Of commands that ran here, and of the embedded database, whose statements set passwords. */
function placesOfLogs(folder: DataFolder, { wiring }: Profile): readonly Place[] {
  const logs = join(folder.root, 'logs');
  return [
    ...(existsSync(logs) ? placesOfFiles(logs, 'log') : []),
    ...(wiring.database.kind === 'embedded' ? [placeOfFile(prepareLayout(folder.postgres).logFile, 'log')] : []),
  ];
}

/** Pieces overlap by the length of the longest needle, so that none hides on an edge. */
async function secretsIn({ pieces }: Place, needles: Needles): Promise<{ found: Set<string>; bytes: number }> {
  const found = new Set<string>();
  let bytes = 0;
  let rest = Buffer.alloc(0);
  for await (const piece of pieces()) {
    bytes += piece.byteLength;
    const whole = Buffer.concat([rest, piece]);
    for (const name of needles.in(whole)) found.add(name);
    rest = whole.subarray(Math.max(0, whole.byteLength - needles.overlap));
  }
  return { found, bytes };
}
