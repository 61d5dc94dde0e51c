import { afterAll, beforeAll, describe } from '@jest/globals';
import { type ControlGround, openControlGround } from '../support/control-ground.js';
import { caseWorkbenchSuite } from './case-workbench.contract.js';
import { caseActionSuite } from './case-actions.cases.js';
import { bulkFindingSuite } from './case-bulk.cases.js';
import { decisionSourcesSuite } from './decision-sources.contract.js';

describe('case workbench, embedded database and bus', () => {
  let ground: ControlGround;

  beforeAll(async () => {
    ground = await openControlGround('embedded', 'case_mgmt');
  });
  afterAll(() => ground.close());

  caseWorkbenchSuite(() => ground.database);
  bulkFindingSuite(() => ground.database);
  caseActionSuite(() => ground.database);
  decisionSourcesSuite(() => ground.bus);
});
