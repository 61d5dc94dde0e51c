import { afterAll, beforeAll, describe } from '@jest/globals';
import { labelFeedSuite } from './label-feed.contract.js';
import { openLabelGround } from './label-ground.js';

describe('labels of sealed worlds, embedded', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('embedded');
  });
  afterAll(() => ground.close());

  labelFeedSuite(() => ground);
});
