import { EXIT, type ExitCode } from '../exit-codes.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

export function listRoles(units: UnitTable, terminal: Terminal): ExitCode {
  const rows = [...units.units].sort((a, b) => (a.role < b.role ? -1 : 1));
  const lines =
    rows.length === 0
      ? ['This build has no units yet: `probity serve` runs the substrates, identity and health alone.']
      : table(
          ['ROLE', 'UNIT', 'KIND', 'CALLS', 'WHY'],
          rows.map((row) => [row.role, row.unit, row.kind, row.calls.join(',') || '-', row.why]),
        );
  terminal.answer(
    { roles: rows.map(({ role, unit, kind, calls, why, instances }) => ({ role, unit, kind, calls, why, instances })) },
    lines,
  );
  return EXIT.OK;
}
