import { afterAll, beforeAll, describe } from '@jest/globals';
import { type ControlGround, openControlGround } from '../support/control-ground.js';
import { runOperateSuite } from './run-operate.contract.js';

describe('Run/Operate, external Postgres and Kafka', () => {
  let ground: ControlGround;

  beforeAll(async () => {
    ground = await openControlGround('external', 'gov');
  });
  afterAll(() => ground.close());

  runOperateSuite(() => ground);
});
