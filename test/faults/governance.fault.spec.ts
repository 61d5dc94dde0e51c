import { describe, expect, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { demandChain, demandLifecycle, demandToldOnce, governanceUnderKills } from './governance.kills.js';

describe('who puts policies in force, under kill -9', () => {
  const seed = faultSeed();

  it(
    `each command is one fact or none, as it was told, and the chain of activations is whole (seed ${seed})`,
    async () => {
      const { facts, told, chain } = await governanceUnderKills({ seed, kills: FULL ? 60 : 6 });
      expect(chain.length).toBeGreaterThan(1);
      const kinds = new Set(facts.map(({ kind }) => kind));
      for (const kind of ['POLICY_PROPOSED', 'POLICY_APPROVED', 'POLICY_ACTIVATED', 'POLICY_REFUSED'] as const)
        expect(kinds).toContain(kind);
      // The twins: a fact twice, one that is missing, an answer that is another one, a chain without a link or with a foreign one.
      const scope = facts[0]?.scope ?? '';
      const activated = facts.find(({ kind }) => kind === 'POLICY_ACTIVATED');
      const [key = '', answer] = [...told].find(([, one]) => 'fact' in one) ?? [];
      if (activated === undefined || answer === undefined) throw new Error('nothing was activated');
      const without = facts.filter((fact) => fact !== activated);
      expect(() => {
        demandLifecycle([...facts, activated]);
      }).toThrow();
      expect(() => {
        demandToldOnce(without, told, scope);
      }).toThrow();
      expect(() => {
        demandToldOnce(facts, new Map(told).set(key, { kind: answer.kind, code: 'OPS_STATE_FORBIDS' }), scope);
      }).toThrow();
      for (const broken of [chain.slice(1), [...chain].reverse(), chain.slice(0, -1)])
        expect(() => {
          demandChain(broken, facts);
        }).toThrow();
    },
    FULL ? 1_200_000 : 240_000,
  );
});
