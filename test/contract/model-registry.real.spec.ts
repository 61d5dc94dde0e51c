import { afterAll, beforeAll, describe } from '@jest/globals';
import { openLabelGround } from './label-ground.js';
import { modelRegistrySuite } from './model-registry.contract.js';

describe('model registry, real servers', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('external', 'registry');
  });
  afterAll(() => ground.close());

  modelRegistrySuite(() => ground);
});
