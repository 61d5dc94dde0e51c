import { defineUnits, type UnitTable } from './unit-table.js';

/**
 * THE TABLE. One row per unit that is built: what it is, owns, calls, consumes and produces. Composition, `probity
 * roles`, docs/units.md and the architecture tests read it, so a unit exists when its row does.
 *
 * No unit has been built yet: this program serves its substrates, its identity and its health.
 */
export const UNITS: UnitTable = defineUnits({}, {});
