import { beforeAll, describe } from '@jest/globals';
import { DECISION_ROLES } from '../support/door.js';
import { withoutTopics } from '../support/kafka.js';
import { modelsSuite } from './models.cases.js';

describe('on real servers', () => {
  // A dataset wants the log from its beginning, which earlier tests have trimmed away.
  beforeAll(async () => {
    await withoutTopics(['fp.bus.traffic.v1', 'fp.bus.control.v1']);
  }, 60_000);

  const without = DECISION_ROLES.filter((role) => role !== 'mf');
  modelsSuite('real', [without.join(','), 'mf']);
});
