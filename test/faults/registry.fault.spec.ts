import { describe, expect, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { demandLifecycle, demandToldOnce, registryUnderKills } from './registry.kills.js';

describe('who decides which bundle is active, under kill -9', () => {
  const seed = faultSeed();

  it(
    `each command is one fact or none, as it was told, and exactly one bundle is active (seed ${seed})`,
    async () => {
      const { facts, refused } = await registryUnderKills({ seed, kills: FULL ? 60 : 6 });
      const actions = new Set(facts.map(({ action }) => action));
      expect([...actions].filter((action) => action !== 'BUNDLE_RETIRED').length).toBeGreaterThanOrEqual(3);
      expect(refused).toBeGreaterThan(0);
      // The twins: one fact twice, one that is missing, and one that somebody was told of and that is another.
      const last = facts.at(-1);
      if (last === undefined) throw new Error('there are no facts');
      const twice = { ...last, registry_seq: last.registry_seq + 1 };
      expect(() => demandLifecycle([...facts, twice])).toThrow();
      expect(() => demandLifecycle(facts.slice(1))).toThrow();
      expect(() => demandToldOnce(facts, new Map([['mia-1', { code: 'MPR_CONFLICT' }]]))).toThrow();
    },
    FULL ? 1_200_000 : 240_000,
  );
});
