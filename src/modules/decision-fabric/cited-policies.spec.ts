import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DecidedLog, type DecidedPayment } from '../../../test/support/decided-log.js';
import { bundle, features, pins, policy as POLICY } from '../../../test/support/decision-engine.js';
import { filesHarness } from '../../../test/support/objects-harness.js';
import { recordedTelemetry } from '../../../test/support/telemetry.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import type { Rules } from '../../rails/decision/rules.schema.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import type { SealedPolicy } from '../../rails/policy-rev.js';
import { objectKey } from '../../rails/ref.js';
import { ManualClock } from '../../substrate/clock/manual.clock.js';
import type { ObjectsHarness } from '../../substrate/objects/contract/kit.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { ExternalModels } from './external-models.js';
import { type Verification, VerificationService } from './verification.service.js';

const policy: DecisionPolicy = { ...POLICY, required_feature_groups: [] };
/** Declines above an amount, and asks cards that were busy. */
const rulesWith = (decline: number, busy = 3): Rules => ({
  lists: [
    {
      name: 'raise',
      kind: 'raise',
      rules: [
        { id: 'big', when: `event.amount_minor > ${decline}`, outcome: 'DECLINE', reason_code: 'BIG', text: 't' },
        { id: 'busy', when: `features.card_count_1h >= ${busy}`, outcome: 'STEP_UP', reason_code: 'BUSY', text: 't' },
      ],
    },
  ],
});
const cautious: DecisionPolicy = { ...policy, default_outcome: 'STEP_UP' };

/** An hour of five minutes, as far as a card's count is concerned. */
const shorter: FeatureDefinitions = {
  ...features.body,
  groups: features.body.groups.map((group) => ({
    ...group,
    features: group.features.map((one) => (one.name === 'card_count_1h' ? { ...one, window: '5m' } : one)),
  })) as FeatureDefinitions['groups'],
};

const payments = (from: number, count: number): DecidedPayment[] =>
  Array.from({ length: count }, (_, at) => {
    const n = from + at;
    return { id: `e-${n}`, second: n * 60, amount: ((n % 7) + 1) * 100, card: ['c', 'dd', 'eee'][n % 3] ?? '' };
  });
const more = (log: DecidedLog, count: number): DecidedLog => log.decide(payments(log.decisions.length, count));

describe('decisions under revisions that are not in force any more', () => {
  let harness: ObjectsHarness;
  let objects: Objects;
  beforeAll(async () => {
    harness = await filesHarness();
    objects = await harness.open();
  });
  afterAll(async () => {
    await objects.close();
    await harness.close();
  });

  const keptAll = async (artifacts: readonly SealedPolicy[]): Promise<void> => {
    const archive = new PolicyArchive(objects);
    for (const artifact of artifacts) await archive.keep(artifact);
  };

  async function verified(log: DecidedLog, decisionId?: string): Promise<Verification> {
    const models = new ExternalModels({ open: () => Promise.reject(new Error('no models here')) });
    const { telemetry } = recordedTelemetry();
    const service = new VerificationService(
      log.engine,
      log.bundles,
      models,
      new PolicyArchive(objects),
      log.bus,
      new ManualClock(),
      telemetry,
    );
    const only = decisionId === undefined ? {} : { decision_id: decisionId };
    const job = service.start({ run_id: pins.run_id, ...only });
    while (job.state === 'RUNNING') await new Promise((resolve) => setImmediate(resolve));
    return job;
  }

  /** Rules, policy and definitions change in mid run, and come back. The numbers of `decline` are the test's own, so that its artifacts are. */
  function changedInMidRun(decline: number): DecidedLog {
    const log = more(new DecidedLog({ rules: rulesWith(decline), policy, bundle }), 14);
    log.activate('df.rules', 2, rulesWith(decline - 300));
    more(log, 14);
    log.activate('df.decision', 2, cautious);
    more(log, 14);
    log.activate('ofp.features', 2, shorter);
    more(log, 14);
    log.activate('df.rules', 1, rulesWith(decline));
    return more(log, 14);
  }

  it('are made again, each under its own', async () => {
    const log = changedInMidRun(501);
    await keptAll(log.artifacts);
    const declined = log.decisions.map(({ outcome }, at) => (outcome === 'DECLINE' ? Math.floor(at / 14) : null));
    expect([0, 1, 2, 3, 4].map((part) => declined.filter((one) => one === part).length)).toEqual([4, 10, 10, 10, 4]);
    expect(await verified(log)).toMatchObject({ state: 'DONE', compared: 70, equal: 70, not_made_again: 0 });
    const alone = log.decisions[20]?.decision_id ?? '';
    expect(await verified(log, alone)).toMatchObject({ compared: 1, equal: 1, not_made_again: 0 });
  });

  it('are named where one was recorded otherwise than its revision says', async () => {
    const log = changedInMidRun(502);
    await keptAll(log.artifacts);
    const fallen = log.decisions.slice(14, 28).find(({ outcome }) => outcome === 'DECLINE');
    for (const partition of [0, 1])
      for (let at = 0; ; at += 1)
        try {
          log.falsify(`fp.bus.traffic.v1 ${partition}`, at, (text) =>
            text.includes(fallen?.decision_id ?? '-')
              ? text.replace('"outcome":"DECLINE"', '"outcome":"APPROVE"')
              : text,
          );
        } catch (error) {
          if (!String(error).includes('nothing was changed')) break;
        }
    expect(await verified(log)).toMatchObject({
      state: 'DONE',
      compared: 70,
      equal: 69,
      first_difference: { decision_id: fallen?.decision_id, at: '/outcome', recorded: '"APPROVE"' },
    });
  });

  it('are not made again where the artifact was tampered with, which is named; all others are', async () => {
    for (const how of ['flip', 'replace'] as const) {
      const log = changedInMidRun(how === 'flip' ? 503 : 504);
      await keptAll(log.artifacts);
      const second = log.artifacts.find(
        ({ policy_rev }) => policy_rev.policy_id === 'df.rules' && policy_rev.revision === 2,
      );
      const digest = second?.policy_rev.content_digest ?? '';
      const key = objectKey(`gov/policies/${digest}.json`);
      const by = Buffer.from(JSON.stringify({ ...second?.policy_rev, body: rulesWith(1) as never }));
      await harness.tamper(key, how === 'flip' ? { how, offset: 40 } : { how, by });
      const found = await verified(log);
      expect(found).toMatchObject({ state: 'DONE', compared: 28, equal: 28, not_made_again: 42 });
      expect(found.first_not_made_again?.why).toContain('OPS_ARTIFACT_TAMPERED');
      expect(found.first_not_made_again?.why).toContain(digest);
    }
  });

  it('are not made again where the artifact was never kept', async () => {
    const log = changedInMidRun(505);
    await keptAll(log.artifacts.filter(({ policy_rev }) => policy_rev.policy_id !== 'df.rules'));
    const found = await verified(log);
    expect(found).toMatchObject({ compared: 28, equal: 28, not_made_again: 42 });
    expect(found.first_not_made_again?.why).toContain('OPS_ARTIFACT_UNKNOWN');
  });

  it('are made again after any history of changes', async () => {
    const change = fc.oneof(
      fc.record({ id: fc.constant('df.rules'), n: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ id: fc.constant('df.decision'), n: fc.integer({ min: 0, max: 1 }) }),
      fc.record({ id: fc.constant('ofp.features'), n: fc.integer({ min: 0, max: 1 }) }),
    );
    const bodyOf = {
      'df.rules': (n: number) => rulesWith(n * 150, n),
      'df.decision': (n: number) => [policy, cautious][n],
      'ofp.features': (n: number) => [features.body, shorter][n],
    };
    const steps = fc.array(fc.tuple(change, fc.integer({ min: 0, max: 9 })), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const log = more(new DecidedLog({ rules: rulesWith(450), policy, bundle }), 5);
        for (const [{ id, n }, count] of history) {
          log.activate(id, n + 2, bodyOf[id](n));
          more(log, count);
        }
        await keptAll(log.artifacts);
        const { decisions } = log;
        expect(await verified(log)).toMatchObject({
          state: 'DONE',
          compared: decisions.length,
          equal: decisions.length,
          not_made_again: 0,
        });
      }),
      { numRuns: 12 },
    );
  });
});
