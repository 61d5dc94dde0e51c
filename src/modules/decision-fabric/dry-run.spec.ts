import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DecidedLog, type DecidedPayment, type InForceHere } from '../../../test/support/decided-log.js';
import { bundle, pins, policy as POLICY } from '../../../test/support/decision-engine.js';
import { recordedTelemetry } from '../../../test/support/telemetry.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import type { Rules } from '../../rails/decision/rules.schema.js';
import type { Outcome } from '../../rails/events/decision.schema.js';
import type { Bundle } from '../../rails/model/bundle.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type PolicyRev, type SealedPolicy, sealPolicy } from '../../rails/policy-rev.js';
import { ManualClock } from '../../substrate/clock/manual.clock.js';
import type { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import type { LabelStorePort } from '../label-store/label-store.port.js';
import type { DryRun, DryRunChange, DryRunRequest } from './dry-run.schema.js';
import { CHANGES_MAX, DryRunService } from './dry-run.service.js';
import { ExternalModels } from './external-models.js';
import { Reexecution } from './reexecution.js';

const policy: DecisionPolicy = { ...POLICY, required_feature_groups: [] };

/** Declines above `decline`, reviews where the score is above `review`, and asks busy cards. */
const rulesWith = (decline: number, review = 999_999, busy = 1_000): Rules => ({
  lists: [
    {
      name: 'raise',
      kind: 'raise',
      rules: [
        { id: 'big', when: `event.amount_minor > ${decline}`, outcome: 'DECLINE', reason_code: 'BIG', text: 't' },
        { id: 'busy', when: `features.card_count_1h >= ${busy}`, outcome: 'STEP_UP', reason_code: 'BUSY', text: 't' },
      ],
    },
    {
      name: 'score',
      kind: 'score',
      rules: [{ id: 'high', when: `score_e6 >= ${review}`, outcome: 'QUEUE', reason_code: 'HIGH', text: 't' }],
    },
  ],
});
const IN_FORCE: InForceHere = { rules: rulesWith(1_000), policy, bundle };

/** Amounts of 100, 200 … so that a threshold changes those between it and the one before. */
const payments = (count: number, more: (n: number) => Partial<DecidedPayment> = () => ({})): DecidedPayment[] =>
  Array.from({ length: count }, (_, n) => ({
    id: `e-${n}`,
    second: n * 60,
    amount: (n + 1) * 100,
    card: ['c', 'dd', 'eee'][n % 3] ?? '',
    ...more(n),
  }));

const NO_LABELS = { asOf: () => Promise.reject(new Error('nobody asked for labels')) } as unknown as LabelStorePort;

function serviceOver(log: DecidedLog, labels = NO_LABELS): DryRunService {
  const models = new ExternalModels({ open: () => Promise.reject(new Error('no models here')) });
  const runs = [{ run_id: pins.run_id, decisions: log.decisions.length }];
  const store = { runs: () => Promise.resolve(runs) };
  const { telemetry } = recordedTelemetry();
  return new DryRunService(
    log.engine,
    log.bundles,
    models,
    store as never,
    labels,
    archiveOf(log),
    log.bus,
    new ManualClock(),
    telemetry,
  );
}

/** Whatever was ever in force there. */
function archiveOf({ artifacts }: DecidedLog): PolicyArchive {
  const artifact = ({ content_digest }: PolicyRev): Promise<SealedPolicy> => {
    const found = artifacts.find(({ policy_rev }) => policy_rev.content_digest === content_digest);
    return found === undefined
      ? Promise.reject(new ProbityError('OPS_ARTIFACT_UNKNOWN', content_digest))
      : Promise.resolve(found);
  };
  return { artifact } as unknown as PolicyArchive;
}

async function ended(service: DryRunService, request: Omit<DryRunRequest, 'run_id'>): Promise<DryRun> {
  const { dry_run_id: id } = await service.start({ run_id: pins.run_id, ...request });
  for (;;) {
    const now = service.find(id);
    if (now.state !== 'RUNNING') return now;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function found(log: DecidedLog, request: Omit<DryRunRequest, 'run_id'>, labels?: LabelStorePort) {
  const service = serviceOver(log, labels);
  const dryRun = await ended(service, request);
  return { dryRun, changes: service.changes(dryRun.dry_run_id, 0, CHANGES_MAX).changes };
}

const none = { APPROVE: 0, STEP_UP: 0, QUEUE: 0, DECLINE: 0 };
const sum = (payments: number, amount_minor: number) => ({ payments, amount_minor: String(amount_minor) });

describe('a dry run on history', () => {
  it('of what is in force changes nothing, and its control says that all are equal', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(40));
    const { dryRun, changes } = await found(log, { candidate: { rules: IN_FORCE.rules, policy } });
    expect(dryRun).toMatchObject({ state: 'DONE', seen: 40, decisions: 40, left_out: {}, changes_kept: 0 });
    expect(dryRun.report).toMatchObject({
      control: { compared: 40, equal: 40 },
      decided: 40,
      changed: 0,
      other_reasons: 0,
    });
    expect(dryRun.report?.before).toEqual(dryRun.report?.after);
    expect(dryRun.report?.rules['big']).toEqual({ before: 30, after: 30 });
    expect(changes).toEqual([]);
    const same = await found(log, { candidate: { bundle: { slot: 'primary', bundle } } });
    expect(same.dryRun.report).toMatchObject({ decided: 40, changed: 0, other_reasons: 0 });
  });

  it('of one threshold changes exactly those between, with money that was added up by hand', async () => {
    // 100 … 1,500; above 1,000 declined: 1,100 to 1,500. Every fifth is in USD: 500, 1,000, 1,500.
    const log = new DecidedLog(IN_FORCE).decide(payments(15, (n) => (n % 5 === 4 ? { currency: 'USD' } : {})));
    const stricter = await found(log, { candidate: { rules: rulesWith(700) } });
    expect(stricter.changes.map(({ event_id, before, after }) => [event_id, before, after])).toEqual([
      ['e-7', 'APPROVE', 'DECLINE'],
      ['e-8', 'APPROVE', 'DECLINE'],
      ['e-9', 'APPROVE', 'DECLINE'],
    ]);
    expect(stricter.dryRun.report).toMatchObject({
      decided: 15,
      changed: 3,
      before: { ...none, APPROVE: 10, DECLINE: 5 },
      after: { ...none, APPROVE: 7, DECLINE: 8 },
      matrix: {
        ...none,
        APPROVE: { ...none, APPROVE: 7, DECLINE: 3 },
        STEP_UP: none,
        QUEUE: none,
        DECLINE: { ...none, DECLINE: 5 },
      },
      money: {
        // 800 + 900; all but 500, 1,000 and 1,500.
        EUR: { decided: sum(12, 9_000), newly_declined: sum(2, 1_700), newly_approved: sum(0, 0) },
        USD: { decided: sum(3, 3_000), newly_declined: sum(1, 1_000), newly_stepped_up: sum(0, 0) },
      },
      rules: { big: { before: 5, after: 8 } },
    });
    expect(stricter.changes[2]).toMatchObject({
      amount_minor: 1_000,
      currency: 'USD',
      rules_before: [],
      rules_after: ['big'],
      reasons_after: expect.arrayContaining(['BIG']),
    });
    const looser = await found(log, { candidate: { rules: rulesWith(1_200) } });
    expect(looser.dryRun.report).toMatchObject({
      changed: 2,
      money: { EUR: { newly_approved: sum(2, 2_300) }, USD: { newly_approved: sum(0, 0) } },
    });
  });

  it('counts the same verdict for other reasons, and lists it not', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(15));
    const { lists } = IN_FORCE.rules;
    const renamed = JSON.parse(JSON.stringify({ lists }).replace('"BIG"', '"TOO_BIG"')) as Rules;
    const { dryRun, changes } = await found(log, { candidate: { rules: renamed } });
    expect(dryRun.report).toMatchObject({ changed: 0, other_reasons: 5 });
    expect(changes).toEqual([]);
  });

  it('with another bundle or policy decides with its scores and floors', async () => {
    const log = new DecidedLog({ ...IN_FORCE, rules: rulesWith(1_000_000, 500_000) }).decide(payments(12));
    const certain = { ...bundle, bundle_version: 9, model: { ...bundle.model, intercept: 50 } } as Bundle;
    const sure = await found(log, { candidate: { bundle: { slot: 'primary', bundle: certain } } });
    expect(sure.dryRun.report?.after).toEqual({ ...none, QUEUE: 12 });
    for (const { score_before_e6, score_after_e6 } of sure.changes)
      expect([score_after_e6, (score_before_e6 ?? 0) < 500_000]).toEqual([1_000_000, true]);
    const floor = await found(log, { candidate: { policy: { ...policy, default_outcome: 'STEP_UP' } } });
    expect(floor.dryRun.report?.after.APPROVE).toBe(0);
  });

  it('with a second stage asks it within the band of the candidate alone', async () => {
    const log = new DecidedLog({ ...IN_FORCE, rules: rulesWith(1_000_000, 500_000) }).decide(payments(12));
    const certain = { ...bundle, bundle_version: 9, model: { ...bundle.model, intercept: 50 } } as Bundle;
    const scores = log.decisions.map(({ model }) => model.score_e6 ?? 0).sort((x, y) => x - y);
    const to_score_e6 = scores[4] ?? 0;
    const stage2 = { slot: 'stage2' as never, from_score_e6: 0, to_score_e6 };
    const staged = { ...policy, bundles: { ...policy.bundles, stage2 } };
    const candidate = { policy: staged, bundle: { slot: 'stage2' as const, bundle: certain } };
    const { dryRun, changes } = await found(log, { candidate });
    const within = scores.filter((score) => score <= to_score_e6).length;
    expect(dryRun.report?.matrix.APPROVE.QUEUE).toBe(within);
    for (const { score_before_e6 } of changes) expect(score_before_e6).toBeLessThanOrEqual(to_score_e6);
  });

  it('of a bundle leaves out what was decided while nobody could tell which were active', async () => {
    const log = new DecidedLog({ ...IN_FORCE, bundle: null, absent: 'REGISTRY_UNAVAILABLE' }).decide(payments(6));
    const asked = await found(log, { candidate: { bundle: { slot: 'primary', bundle } } });
    expect(asked.dryRun).toMatchObject({
      left_out: { REGISTRY_UNAVAILABLE: 6 },
      report: { control: { equal: 6 }, decided: 0 },
    });
    const rules = await found(log, { candidate: { rules: rulesWith(1_000) } });
    expect(rules.dryRun.report).toMatchObject({ decided: 6, changed: 0 });
  });

  it('tells of a label store that does not answer, and nothing else', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(6));
    const { dryRun } = await found(log, {
      candidate: { rules: rulesWith(0) },
      labels: { label_type: 'fraud_disposition' },
    });
    expect(dryRun).toMatchObject({ state: 'FAILED', code: 'INTERNAL', changes_kept: 0 });
    expect(dryRun.report).toBeUndefined();
  });

  it('looks at the payments of a time alone, at what came before them as well', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(30));
    const [from, to] = [log.decisions[10]?.source_event.ts_utc ?? '', log.decisions[20]?.source_event.ts_utc ?? ''];
    const { dryRun } = await found(log, { from, to, candidate: { rules: rulesWith(1_000, 999_999, 3) } });
    expect(dryRun).toMatchObject({ state: 'DONE', seen: 10 });
    expect(dryRun.report).toMatchObject({
      control: { compared: 10, equal: 10 },
      money: { EUR: { decided: sum(10, 15_500) } },
    });
    // Cards that were busy before the first of them.
    expect(dryRun.report?.rules['busy']?.after).toBe(10);
  });

  it('leaves out what nobody knows, by reason, and keeps the mask of a posture', async () => {
    const mixed = payments(30, (n) =>
      n % 5 === 0 ? { without: 'features' } : n % 5 === 1 ? { without: 'capabilities' } : {},
    );
    const log = new DecidedLog(IN_FORCE).decide(mixed);
    const { dryRun, changes } = await found(log, { candidate: { rules: rulesWith(0, 0, 1) } });
    expect(dryRun).toMatchObject({ state: 'DONE', seen: 30, left_out: { FEATURES_UNAVAILABLE: 6 } });
    expect(dryRun.first_left_out).toMatchObject({ event_id: 'e-0', reason: 'FEATURES_UNAVAILABLE' });
    expect(dryRun.report).toMatchObject({ control: { compared: 30, equal: 30 }, decided: 24 });
    // Under the mask neither score nor features speak: what is declined there is declined by its amount.
    const masked = changes.filter(({ event_id }) => Number(event_id.slice(2)) % 5 === 1);
    expect(masked.length).toBeGreaterThan(0);
    for (const { score_after_e6, rules_after } of masked)
      expect([score_after_e6, rules_after]).toEqual([null, ['big']]);
  });

  it('leaves out decisions that cite what is not in force', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(6));
    const other = new DecidedLog({ ...IN_FORCE, rules: rulesWith(5) }).decide(payments(6));
    const service = new DryRunService(
      other.engine,
      log.bundles,
      new ExternalModels({ open: () => Promise.reject(new Error('none')) }),
      { runs: () => Promise.resolve([]) } as never,
      NO_LABELS,
      archiveOf(other),
      log.bus,
      new ManualClock(),
      recordedTelemetry().telemetry,
    );
    const dryRun = await ended(service, { candidate: { rules: rulesWith(0) } });
    expect(dryRun).toMatchObject({ state: 'DONE', left_out: { OTHER_ARTIFACT: 6 }, report: { decided: 0 } });
    expect(dryRun.first_left_out?.why).toContain('OPS_ARTIFACT_UNKNOWN');
  });

  it('makes decisions under earlier rules again under those, and leaves out those under another policy', async () => {
    // 100 … 1,500; above 500 declined, then above 1,000.
    const log = new DecidedLog({ ...IN_FORCE, rules: rulesWith(500) }).decide(payments(15));
    log.activate('df.rules', 2, IN_FORCE.rules);
    const later = payments(30).slice(15);
    log.decide(later);
    const { dryRun, changes } = await found(log, { candidate: { rules: IN_FORCE.rules } });
    expect(dryRun).toMatchObject({
      state: 'DONE',
      seen: 30,
      left_out: {},
      report: { control: { compared: 30, equal: 30 } },
    });
    expect(changes.map(({ event_id, before, after }) => [event_id, before, after])).toEqual(
      [5, 6, 7, 8, 9].map((n) => [`e-${n}`, 'DECLINE', 'APPROVE']),
    );
    log.activate('df.decision', 2, { ...policy, default_outcome: 'STEP_UP' });
    const moved = await found(log, { candidate: { rules: IN_FORCE.rules } });
    expect(moved.dryRun).toMatchObject({ state: 'DONE', left_out: { OTHER_ARTIFACT: 30 }, report: { decided: 0 } });
    expect(moved.dryRun.first_left_out?.why).toContain('revision 1 of df.decision');
  });

  describe('whose control fails says nothing but which decision is the first', () => {
    const falsified = (topicPartition: string, at: number, change: (text: string) => string) => {
      const log = new DecidedLog(IN_FORCE).decide(payments(30, () => ({ card: 'c' })));
      log.falsify(topicPartition, at, change);
      return log;
    };
    const failing = async (log: DecidedLog, code: string, decision: number, range = {}): Promise<DryRun> => {
      const { dryRun, changes } = await found(log, { ...range, candidate: { rules: rulesWith(0) } });
      expect(dryRun).toMatchObject({ state: 'FAILED', code, changes_kept: 0 });
      expect(dryRun.detail).toContain(log.decisions[decision]?.decision_id);
      expect([dryRun.report, changes]).toEqual([undefined, []]);
      return dryRun;
    };

    it('one that was recorded otherwise', async () => {
      const log = falsified('fp.bus.traffic.v1 1', 7, (text) =>
        text.replace('"outcome":"APPROVE"', '"outcome":"DECLINE"'),
      );
      expect((await failing(log, 'DF_DRY_RUN_CONTROL_FAILED', 3)).detail).toContain('/outcome');
    });

    it('a payment that stands there with another amount: its own decision', async () => {
      const log = falsified('fp.bus.traffic.v1 1', 6, (text) =>
        text.replace('"amount_minor":400', '"amount_minor":401'),
      );
      await failing(log, 'DF_DRY_RUN_CONTROL_FAILED', 3);
    });

    it('a payment of before that is no longer of its card: the next decision of the card', async () => {
      const log = falsified('fp.bus.traffic.v1 1', 0, (text) => text.replace('"card_id":"c"', '"card_id":"x"'));
      const from = log.decisions[1]?.source_event.ts_utc ?? '';
      expect((await failing(log, 'DF_DRY_RUN_CONTROL_FAILED', 1, { from })).detail).toContain('/features');
    });
  });

  it('is as if each decision were thought otherwise by itself, whatever the thresholds', async () => {
    const log = new DecidedLog({ ...IN_FORCE, rules: rulesWith(2_000, 400_000, 4) }).decide(
      payments(36, (n) => ({ second: n * 300, ...(n % 9 === 8 ? { without: 'capabilities' as const } : {}) })),
    );
    const models = new ExternalModels({ open: () => Promise.reject(new Error('none')) });
    const threshold = (max: number) => fc.integer({ min: 0, max });
    await fc.assert(
      fc.asyncProperty(threshold(4_000), threshold(1_000_000), threshold(8), async (decline, review, busy) => {
        const rules = rulesWith(decline, review, busy);
        const { dryRun, changes } = await found(log, { candidate: { rules } });
        const policies = {
          ...log.engine.now(),
          rules: { ...sealPolicy('df.rules.other', 1, rules as never), body: rules },
        };
        const bundles = await log.bundles.cited(undefined as never, policy);
        if (typeof bundles === 'string') throw new Error(bundles);
        const engine = new DecisionEngine({ ...policies, bundles });
        const one = async (only: string): Promise<DryRunChange['after'] | undefined> => {
          const options = { bus: log.bus, policies, models, runId: pins.run_id, only, counterfactual: true };
          for await (const { again } of new Reexecution({ ...options, engineFor: () => Promise.resolve(engine) }).run())
            return again?.outcome;
          return undefined;
        };
        const expected: (readonly [string, Outcome, Outcome | undefined])[] = [];
        for (const { decision_id, outcome } of log.decisions) {
          const after = await one(decision_id);
          if (after !== outcome) expected.push([decision_id, outcome, after]);
        }
        const listed = changes.map(({ decision_id, before, after }) => [decision_id, before, after]);
        expect(listed.sort()).toEqual([...expected].sort());
        expect(dryRun.report).toMatchObject({ decided: 36, changed: expected.length });
      }),
      { numRuns: 12 },
    );
  });

  describe('by what became known', () => {
    const known: Readonly<Record<string, string>> = {
      'e-11': 'FRAUD_CONFIRMED',
      'e-8': 'FRAUD_CONFIRMED',
      'e-9': 'LEGIT_CONFIRMED',
      'e-2': 'FRAUD_SUSPECTED',
    };
    const asked: { as_of_utc: string; ledger_seq?: number }[] = [];
    const labels = {
      asOf: (request: { targets: { event_id: string }[]; as_of_utc: string; ledger_seq?: number }) => {
        asked.push(request);
        const answers = request.targets.map(({ event_id }) => {
          const label_value = known[event_id];
          if (event_id === 'e-3') return { state: 'CONFLICT', candidates: [] };
          return label_value === undefined
            ? { state: 'UNKNOWN' }
            : { state: 'LABEL', label: { label_value }, losers: [] };
        });
        return Promise.resolve({ answers, basis: { ledger_seq: 77 } });
      },
    } as unknown as LabelStorePort;

    it('frauds that were caught and missed, and others that were not approved, before and after', async () => {
      const log = new DecidedLog(IN_FORCE).decide(payments(15));
      const request = { label_type: 'fraud_disposition', as_of: '2026-11-28T00:00:00Z' };
      const { dryRun, changes } = await found(log, { candidate: { rules: rulesWith(700) }, labels: request }, labels);
      // Declined before: 1,100 to 1,500; after: 800 to 1,500. Frauds: 1,200 and 900; known as none: 1,000.
      const empty = { caught_amounts: {}, missed_amounts: {}, false_positive_amounts: {} };
      expect(dryRun.report?.labels).toEqual({
        label_type: 'fraud_disposition',
        as_of_utc: '2026-11-28T00:00:00.000000Z',
        ledger_seq: { [pins.run_id]: 77 },
        frauds: 2,
        others: 1,
        unknown: 12,
        before: {
          ...empty,
          caught: 1,
          missed: 1,
          false_positives: 0,
          caught_amounts: { EUR: '1200' },
          missed_amounts: { EUR: '900' },
        },
        after: {
          ...empty,
          caught: 2,
          missed: 0,
          false_positives: 1,
          caught_amounts: { EUR: '2100' },
          false_positive_amounts: { EUR: '1000' },
        },
      });
      expect(changes.map(({ event_id, known_as }) => [event_id, known_as])).toEqual([
        ['e-7', 'UNKNOWN'],
        ['e-8', 'FRAUD'],
        ['e-9', 'OTHER'],
      ]);
    });

    it('a payment without a label is legitimate once it is old enough, and one that is contradicted is not', async () => {
      const log = new DecidedLog(IN_FORCE).decide(payments(15));
      const request = { label_type: 'fraud_disposition', as_of: '2026-11-28T00:10:00Z', maturity_days: 7 };
      const { dryRun } = await found(log, { candidate: { rules: rulesWith(700) }, labels: request }, labels);
      // Of the first eleven minutes: e-0 to e-10 without e-2 (suspected), e-3 (contradicted) and e-8 (fraud).
      expect(dryRun.report?.labels).toMatchObject({ frauds: 2, others: 8, unknown: 5 });
    });

    it('all of a run at one number of the ledger', async () => {
      asked.length = 0;
      const log = new DecidedLog(IN_FORCE).decide(payments(600, () => ({ amount: 5 })));
      await found(log, { candidate: { rules: rulesWith(700) }, labels: { label_type: 'fraud_disposition' } }, labels);
      expect(asked.map(({ ledger_seq }) => ledger_seq)).toEqual([undefined, 77]);
      expect(new Set(asked.map(({ as_of_utc }) => as_of_utc)).size).toBe(1);
    });
  });

  it('refuses what could not be in force, or would have to guess, with the place', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(3));
    const service = serviceOver(log);
    const { bundles } = policy;
    const lists = (when: string): Rules =>
      JSON.parse(JSON.stringify(rulesWith(1)).replace('event.amount_minor > 1', when)) as Rules;
    const unfit = {
      ...bundle,
      compatibility: { ...bundle.compatibility, feature_groups: [{ name: 'nobody_has', version: 1 }] },
    };
    const refusals: readonly (readonly [string, object])[] = [
      ['/candidate: ', {}],
      ['/candidate/rules/lists/0/rules/0/when: ', { rules: lists('features.not_defined > 1') }],
      ['/candidate/rules/lists/0/rules/0/when: ', { rules: lists('event.amount_minor >') }],
      ['/candidate/rules/lists', { rules: { lists: 'none' } }],
      ['/candidate/policy/deadlines/default_ms: ', { policy: { ...policy, deadlines: { default_ms: 9, max_ms: 1 } } }],
      ['/candidate/policy/scope: ', { policy: { ...policy, scope: 'login' } }],
      [
        '/candidate/policy/trigger_event_types/1: ',
        { policy: { ...policy, trigger_event_types: ['transaction', 'login'] } },
      ],
      [
        '/candidate/policy/required_feature_groups/0: ',
        { policy: { ...policy, required_feature_groups: ['nobody-has'] } },
      ],
      [
        '/candidate/policy/bundles/primary: ',
        { policy: { ...policy, bundles: { ...bundles, primary: 'challenger' } } },
      ],
      [
        '/candidate/policy/bundles/stage2: ',
        {
          policy: { ...policy, bundles: { ...bundles, stage2: { slot: 'stage2', from_score_e6: 1, to_score_e6: 2 } } },
        },
      ],
      ['/candidate/bundle/compatibility/feature_groups: ', { bundle: { slot: 'primary', bundle: unfit } }],
      ['/candidate/bundle/slot: ', { bundle: { slot: 'stage2', bundle } }],
      ['/candidate/bundle', { bundle: { slot: 'primary', bundle: { ...bundle, model: {} } } }],
    ];
    for (const [at, candidate] of refusals) {
      const refused = service.start({ candidate }).catch((error: unknown) => error);
      expect([at, await refused]).toEqual([
        at,
        expect.objectContaining({ code: 'DF_CANDIDATE_REFUSED', detail: expect.stringContaining(at) }),
      ]);
    }
  });

  it('is one at a time, and gives its changes page by page', async () => {
    const log = new DecidedLog(IN_FORCE).decide(payments(20));
    const service = serviceOver(log);
    const request = { run_id: pins.run_id, candidate: { rules: rulesWith(100) } };
    const first = await service.start(request);
    await expect(service.start(request)).rejects.toMatchObject({ code: 'DF_DRY_RUN_BUSY' });
    expect(service.changes(first.dry_run_id, 0, 5)).toEqual({ changes: [] });
    const all = await ended(serviceOver(log), request);
    expect(all.changes_kept).toBe(9);
    const other = serviceOver(log);
    const { dry_run_id: id } = await ended(other, request);
    const pages = [other.changes(id, 0, 4), other.changes(id, 4, 4), other.changes(id, 8, 4)];
    expect(pages.map(({ changes, next_cursor }) => [changes.length, next_cursor])).toEqual([
      [4, '4'],
      [4, '8'],
      [1, undefined],
    ]);
    expect(() => other.find('nobody')).toThrow(expect.objectContaining({ code: 'DF_DRY_RUN_NOT_FOUND' }));
  });
});
