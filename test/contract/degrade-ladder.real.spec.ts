import { afterAll, beforeAll, describe } from '@jest/globals';
import { type ControlGround, openControlGround } from '../support/control-ground.js';
import { degradeLadderSuite } from './degrade-ladder.contract.js';

describe('Degrade Ladder, external Postgres and Kafka', () => {
  let ground: ControlGround;

  beforeAll(async () => {
    ground = await openControlGround('external', 'dl');
  });
  afterAll(() => ground.close());

  degradeLadderSuite(() => ground);
});
