import { writeSync } from 'node:fs';
import { schemaName } from '../../src/substrate/database/roles.js';
import { workerOf } from '../contract/actions-layer.kit.js';
import { openTestServer } from '../support/database.js';
import { type ActionsOrder, ORDER_VARIABLE, policyFor, QuickClock } from './actions-layer.order.js';

/** A worker with its loops, until somebody kills it. */
function main({ place, port, sinceMs }: ActionsOrder): void {
  const database = openTestServer(place).forSchema(schemaName('actions'));
  workerOf({ database, clock: new QuickClock(sinceMs), policy: policyFor(port) }).executor.onApplicationBootstrap();
  writeSync(1, 'at it\n');
}

main(JSON.parse(process.env[ORDER_VARIABLE] ?? '') as ActionsOrder);
