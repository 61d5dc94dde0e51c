import { afterAll, beforeAll, describe } from '@jest/globals';
import { type ControlGround, openControlGround } from '../support/control-ground.js';
import { degradeLadderSuite } from './degrade-ladder.contract.js';

describe('Degrade Ladder, embedded database and bus', () => {
  let ground: ControlGround;

  beforeAll(async () => {
    ground = await openControlGround('embedded', 'dl');
  });
  afterAll(() => ground.close());

  degradeLadderSuite(() => ground);
});
