import { fileURLToPath } from 'node:url';
import { defineUnits, policyKindsOf, type UnitTable } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { LEDGER_CONTRACT, LedgerPort } from './units/ledger/ledger.port.js';
import { LedgerModule } from './units/ledger/ledger.module.js';
import { LedgerService } from './units/ledger/ledger.service.js';
import { LedgerStore } from './units/ledger/ledger.store.js';
import { TellerModule } from './units/teller/teller.module.js';

const KIB = 1024;

/** A pair of units that uses everything the table can say: it proves the row before there are real units. */
export const TEST_UNITS: UnitTable = defineUnits(
  { 'test.deposits.v1': { why: 'Deposits as they were taken', recordBytesMax: 64 * KIB } },
  {
    teller: {
      unit: 'teller',
      kind: 'service',
      why: 'Takes deposits, once each.',
      module: TellerModule,
      calls: ['ledger'],
      produces: ['test.deposits.v1'],
      schema: 'teller',
      prefixes: ['teller/'],
      // The shipped profiles bring the product's policies; here they are only read.
      policies: policyKindsOf(UNITS),
      instances: 'many',
    },
    ledger: {
      unit: 'ledger',
      kind: 'projector',
      why: 'Knows what every account holds.',
      module: LedgerModule,
      port: { token: LedgerPort, service: LedgerService, contract: LEDGER_CONTRACT },
      calls: [],
      consumes: {
        group: 'ledger',
        topics: ['test.deposits.v1'],
        positions: LedgerStore,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 500,
      },
      produces: [],
      schema: 'ledger',
      prefixes: [],
      policies: [],
      instances: 'many',
    },
  },
  [migrationsFolder()],
);

/** SQL is not compiled: from `.build/test/program` it still lies in `test/program`. */
function migrationsFolder(): string {
  const here = fileURLToPath(new URL('./migrations', import.meta.url));
  return here.replace(/([\\/])\.build[\\/]/, '$1');
}
