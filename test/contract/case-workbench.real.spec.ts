import { afterAll, beforeAll, describe } from '@jest/globals';
import { caseWorkbenchSuite } from './case-workbench.contract.js';
import { caseActionSuite } from './case-actions.cases.js';
import { caseAlikeSuite } from './case-alike.cases.js';
import { bulkFindingSuite } from './case-bulk.cases.js';
import { caseEvidenceSuite } from './case-evidence.cases.js';
import { caseQuarantineSuite } from './case-quarantines.cases.js';
import { openLabelGround } from './label-ground.js';
import { caseExportSuite } from './case-export.cases.js';
import { decisionSourcesSuite } from './decision-sources.contract.js';

describe('case workbench, external Postgres and Kafka', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('external', 'case_mgmt');
  });
  afterAll(() => ground.close());

  caseWorkbenchSuite(() => ground.database);
  caseAlikeSuite(() => ground.database);
  caseExportSuite(() => ground.database);
  bulkFindingSuite(() => ground.database);
  caseActionSuite(() => ground.database);
  caseQuarantineSuite(() => ground.database);
  caseEvidenceSuite(() => ground);
  decisionSourcesSuite(() => ground.bus);
});
