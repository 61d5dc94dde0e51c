import { ProbityError } from '../rails/errors/probity-error.js';
import type { Profile } from './profile.js';
import { type NamedUnit, rolesOf, type UnitTable } from './unit-table.js';
import { nearest } from './yaml-file.js';

/**
 * The units that `--role` names, in starting order.
 * @throws ProbityError CONFIG_ROLE_UNKNOWN
 */
export function selectUnits(table: UnitTable, wanted: string): readonly NamedUnit[] {
  if (wanted === 'all') return table.units;
  const known = rolesOf(table);
  const names = wanted.split(',').map((name) => name.trim());
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near !== undefined ? `did you mean "${near}"?` : `there are: ${known.join(', ') || 'none yet'}`;
    throw new ProbityError('CONFIG_ROLE_UNKNOWN', `--role ${wanted}: there is no role "${name}"; ${hint}`);
  }
  return table.units.filter((unit) => names.includes(unit.role));
}

/**
 * Refuses what could start but never work: a unit that calls a role which is neither here nor reachable, where processes
 * cannot find each other by a data folder that they share.
 * @throws ProbityError CONFIG_COMBINATION_REFUSED
 */
export function refuseImpossible(selected: readonly NamedUnit[], profile: Profile): void {
  const { database, rpc } = profile.wiring;
  if (database.kind === 'embedded') return;
  const here = new Set(selected.map((unit) => unit.role));
  for (const unit of selected) {
    const missing = unit.calls.find((role) => !here.has(role) && rpc.endpoints[role] === undefined);
    if (missing === undefined) continue;
    throw new ProbityError(
      'CONFIG_COMBINATION_REFUSED',
      `role ${unit.role} calls ${missing}, which does not run here and has no address: add it to --role, or name its address under rpc.endpoints.${missing} in the wiring`,
    );
  }
}
