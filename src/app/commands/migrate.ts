import type { ProfileFlags } from '../flags.js';
import { openDataFolder } from '../data-folder.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { loadProfile } from '../profile.js';
import { openDatabase, schemasOf } from '../substrates.js';
import type { Terminal } from '../terminal.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { SystemClock } from '../../substrate/clock/system.clock.js';

export async function migrate(
  units: UnitTable,
  flags: ProfileFlags & { readonly check?: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const profile = loadProfile(flags.profile, policyKindsOf(units));
  const folder = openDataFolder(flags.data);
  const database = await openDatabase({
    profile,
    folder,
    table: units,
    component: 'migrate',
    clock: new SystemClock(),
  });
  const schemas = schemasOf(units.units, profile);
  try {
    if (flags.check === true) {
      await database.verify(schemas);
      terminal.answer({ up_to_date: true, schemas }, [`The database is up to date (${schemas.join(', ')}).`]);
      return EXIT.OK;
    }
    const report = await database.migrate(schemas);
    const lines = report.applied.map(({ schema, name }) => `applied ${schema}/${name}`);
    terminal.answer({ applied: report.applied, total: report.total }, [
      ...lines,
      `${report.applied.length} applied, ${report.total} in all.`,
    ]);
    return EXIT.OK;
  } finally {
    await database.close(profile.wiring.stop_timeout_ms);
  }
}
