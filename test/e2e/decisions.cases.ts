import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ActionRow } from '../../src/modules/actions-layer/actions-layer.store.js';
import type { DecisionAnswer, DecisionView } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { DecisionsPage } from '../../src/modules/decision-fabric/decision-fabric.controller.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { Rules } from '../../src/rails/decision/rules.schema.js';
import type { DecisionPath, LabelAccounts } from '../../src/rails/reconciliation.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { cli } from '../support/cli.js';
import { Door, importedRun, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';
import type { Http } from '../support/http.js';
import { openInside } from '../support/inside.js';
import { recordsOf } from '../support/single-pass.js';
import { backfillCases } from './backfill.cases.js';
import { dryRunCases } from './dry-run.cases.js';

const ROWS = 1_000;

interface Counted {
  readonly decision_path: DecisionPath;
  readonly labels: LabelAccounts;
}

/** Waits that a busy machine does not end by itself: what is decided here is to lean on all that there is. */
const PATIENT: Outside = {
  introduce: (profile) => {
    const policy = join(profile.folder, 'policy', 'df.decision.yaml');
    const waits = 'features_ms: 500, graph_ms: 500, posture_ms: 200';
    profile.edit(policy, waits, 'features_ms: 5000, graph_ms: 5000, posture_ms: 4000');
    profile.edit(policy, 'registry_ms: 1000', 'registry_ms: 4000');
    profile.edit(policy, 'posture_age_max_ms: 15000', 'posture_age_max_ms: 60000');
    return [policy];
  },
  env: {},
};

/** Suites of one family decide the same file of the same run, each on a platform of its own; the first leaves its decisions for the others. */
export class Family {
  readonly scenario = `decisions-${randomBytes(4).toString('hex')}`;
  first: ReadonlyMap<string, Decision> | undefined;
}

/** A file through everything that decides: each transaction decided once, and every decision the same when it is made again. */
export function decisionsSuite(flavour: 'embedded' | 'real', groups: readonly string[], family = new Family()): void {
  describe(`decisions of a file, ${groups.length === 1 ? 'all roles in one process' : 'each role in a process of its own'}`, () => {
    let door: Door;
    let df: Http;
    let run = '';

    beforeAll(async () => {
      door = await Door.open(flavour, groups, PATIENT);
      df = await door.client('df');
      ({ run_id: run } = await importedRun(door, handbookFile(ROWS, 23), family.scenario));
      expect(await door.settled(run)).toMatchObject({ state: 'READY' });
      // Nothing is decided under a posture of nobody: the ladder has climbed before anything is streamed.
      const dl = await door.client('dl');
      await eventually(
        async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
        (mode) => mode === 'NORMAL',
        30_000,
      );
      await door.stream(run);
      await door.streamed(run);
    }, 150_000);
    afterAll(() => door.close());

    it('are one per transaction, with their intents, and ledger and bus agree on all of it', async () => {
      const outcomes = await door.decided(run, ROWS);
      expect(Object.values(outcomes).reduce((a, b) => a + b, 0)).toBe(ROWS);
      const intents = ROWS + (outcomes['QUEUE'] ?? 0);
      const { by_type, custody, ...found } = await door.carriedOut(run, intents);
      expect(custody).toMatchObject({ decisions: ROWS, actions_planned: intents, intents, outcomes: intents });
      const { undecided, ...links } = custody ?? {};
      expect(undecided).toEqual({});
      for (const one of Object.values(links)) if (typeof one === 'object') expect(one).toEqual({ count: 0, ids: [] });
      expect(found).toMatchObject({ admitted: ROWS, on_bus: ROWS, reconciled: true });
      expect(by_type).toMatchObject({
        transaction: { admitted: ROWS, on_bus: ROWS },
        decision: { admitted: ROWS, on_bus: ROWS },
        action_intent: { admitted: intents, on_bus: intents },
        action_outcome: { admitted: intents, on_bus: intents },
      });
    }, 150_000);

    it('come out the same, byte for byte, when they are made again from the bus', async () => {
      const { state, compared, equal, not_made_again, first_difference } = await door.verified({ run_id: run });
      expect([state, compared, equal, not_made_again, first_difference]).toEqual(['DONE', ROWS, ROWS, 0, undefined]);
    }, 150_000);

    it('do not, with one rule changed: the first that differs is named, and so is the place', async () => {
      const file = join(process.cwd(), 'profiles/local/policy/df.rules.yaml');
      const { body } = parse(readFileSync(file, 'utf8')) as { body: Rules };
      const rules = JSON.parse(JSON.stringify(body)) as { lists: { rules: { id: string; when: string }[] }[] };
      for (const list of rules.lists)
        for (const rule of list.rules)
          if (rule.id === 'block.sanctioned_country') rule.when = 'event.amount_minor % 2 == 0';
      const found = await door.verified({ run_id: run, counterfactual: { rules } });
      expect(found).toMatchObject({ state: 'DONE', kind: 'counterfactual', compared: ROWS });
      expect(found.equal).toBe(0);
      expect(found.first_difference?.event_id).toMatch(/^[0-9a-f]{64}$/);
      // From whatever a busy machine had made of them.
      const declined = Object.entries(found.outcomes).filter(([turn]) => turn.endsWith('>DECLINE'));
      expect(declined.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(ROWS / 4);
      // What would have come out changed nothing that did.
      expect(await door.decided(run, ROWS)).not.toHaveProperty('DECLINE', ROWS);
    }, 150_000);

    it('would be others under other features or another policy, by their own bodies, and what could not be in force is refused', async () => {
      const bodyOf = (name: string): Record<string, unknown> =>
        (parse(readFileSync(join(process.cwd(), `profiles/local/policy/${name}.yaml`), 'utf8')) as never)['body'];
      const policy = { ...bodyOf('df.decision'), default_outcome: 'STEP_UP' };
      const stricter = await door.verified({ run_id: run, counterfactual: { policy } });
      expect(stricter).toMatchObject({ state: 'DONE', compared: ROWS });
      expect(Object.keys(stricter.outcomes).filter((turn) => turn.endsWith('>APPROVE'))).toEqual([]);
      const features = bodyOf('ofp.features') as { groups: { features: { window?: string }[] }[] };
      for (const group of features.groups)
        for (const one of group.features) if (one.window === '24h') one.window = '12h';
      const wider = await door.verified({ run_id: run, counterfactual: { features } });
      // What a busy machine made somebody decide without features cites none, and comes out the same under any.
      const without = [...(await decisionsOn(door, run)).values()].filter(
        ({ features: used }) => used.status !== 'USED',
      );
      expect(wider).toMatchObject({ state: 'DONE', compared: ROWS, equal: without.length });
      expect(without.length).toBeLessThan(ROWS);
      const refusals: readonly (readonly [string, object])[] = [
        ['/policy', { policy: { ...bodyOf('df.decision'), deadlines: { default_ms: 9, max_ms: 1 } } }],
        ['/features', { features: { ...features, groups: [] } }],
        // Rules that read what the other definitions do not have.
        ['/rules', { features: { ...features, groups: features.groups.slice(0, 1) } }],
      ];
      for (const [at, counterfactual] of refusals) {
        const { status, body } = await df.post('/v1/verifications', { run_id: run, counterfactual });
        expect([at, status, (body as { code: string }).code]).toEqual([at, 422, 'DF_REQUEST_INVALID']);
        expect((body as { detail: string }).detail).toContain(at);
      }
    }, 150_000);

    it('are the same wherever the file is decided: the same ids, the same verdicts, and equal digests where the bases are equal', async () => {
      const mine = await decisionsOn(door, run);
      expect(mine.size).toBe(ROWS);
      const first = (family.first ??= mine);
      expect([...mine.keys()].sort()).toEqual([...first.keys()].sort());
      let alike = 0;
      for (const [id, one] of mine) {
        const other = first.get(id);
        if (other === undefined) throw new Error(`nobody else decided ${id}`);
        expect(one.source_event.payload_hash).toBe(other.source_event.payload_hash);
        if (one.features.input_basis?.basis_digest === other.features.input_basis?.basis_digest)
          expect(one.features.feature_snapshot_hash).toBe(other.features.feature_snapshot_hash);
        // What a busy machine made somebody decide without features, or under another posture, is another question.
        if (!leansOnAll(one) || !leansOnAll(other)) continue;
        alike += 1;
        expect(verdictOf(one)).toEqual(verdictOf(other));
      }
      expect(alike).toBeGreaterThan(0);
    }, 60_000);

    it('are found by outcome, entity and reason, page by page, and each says everything that it came from', async () => {
      const first = (await df.get(`/v1/decisions?run=${run}&limit=100`)).body as DecisionsPage;
      const second = (await df.get(`/v1/decisions?run=${run}&limit=100&cursor=${first.next_cursor ?? ''}`))
        .body as DecisionsPage;
      const ids = [...first.decisions, ...second.decisions].map(({ decision_id }) => decision_id);
      expect(new Set(ids).size).toBe(200);
      const [row] = first.decisions;
      const entity = (await df.get(`/v1/decisions?entity_key=${row?.entity_key ?? ''}&run=${run}`))
        .body as DecisionsPage;
      expect(new Set(entity.decisions.map(({ entity_key }) => entity_key))).toEqual(new Set([row?.entity_key]));
      // An approval, which leans on everything.
      const approved = (await df.get(`/v1/decisions?run=${run}&outcome=APPROVE&limit=1`)).body as DecisionsPage;
      const approval = approved.decisions[0]?.decision_id;
      const view = (await df.get(`/v1/decisions/${approval ?? ''}`)).body as DecisionView;
      expect(view.decision).toMatchObject({
        decision_id: approval,
        posture: { status: 'USED', mode: 'NORMAL', scope_key: 'GLOBAL' },
        bundle: { status: 'ACTIVE', bundle_id: 'default-linear' },
        model: { score_e6: expect.any(Number), contributions: expect.any(Array) },
        features: { status: 'USED' },
        graph: { status: 'USED', integrity: 'CLEAN' },
      });
      expect(view.admitted_at_utc).toMatch(/Z$/);
      expect((await df.get(`/v1/decisions/${'0'.repeat(64)}`)).status).toBe(404);
      expect((await df.get('/v1/decisions?outcome=MAYBE')).body).toMatchObject({ code: 'HTTP_REQUEST_INVALID' });
    });

    it('are all duplicates when the file is streamed again: nothing is decided twice', async () => {
      const before = (await door.reconciled(run)).by_type;
      await door.stream(run, { again: true });
      expect(await door.streamed(run, 60_000, 2)).toMatchObject({ duplicate: ROWS });
      expect((await door.reconciled(run)).by_type).toEqual(before);
    }, 150_000);

    describe('at once', () => {
      const transaction = (id: string, more: object = {}) => ({
        transaction_id: id,
        occurred_at: '2026-01-31T12:00:00Z',
        amount: '12.30',
        currency: 'EUR',
        card_id: 'card-now',
        ...more,
      });

      beforeAll(async () => {
        const live = await door.request({
          run_equivalence_key: 'live',
          world: {
            kind: 'live',
            scenario_id: `live-${randomBytes(4).toString('hex')}`,
            traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
          },
          strategy: 'AUTO',
        } as never);
        expect(await door.settled(live.run_id)).toMatchObject({ state: 'READY' });
      });

      it('the answer is the very record of the ordinary path, and a retry is answered with it', async () => {
        const asked = { transaction: transaction('now-1', { country: 'KP' }), deadline_ms: 10_000 };
        const first = (await df.post('/v1/decisions', asked)).body as DecisionAnswer;
        expect(first).toMatchObject({ admission: 'ADMIT', outcome: 'DECLINE', timed_out: false });
        expect(first.decision?.reason_codes).toEqual(['COUNTRY_BLOCKED']);
        const view = await eventually(
          async () => (await df.get(`/v1/decisions/${first.decision_id}`)).body as DecisionView,
          ({ decision }) => (decision as unknown) !== undefined,
        );
        expect(view.decision).toEqual(first.decision);
        const al = await door.client('al');
        const [action] = first.decision?.actions ?? [];
        const done = await eventually(
          async () => (await al.get(`/v1/actions/${action?.idempotency_key ?? ''}`)).body as ActionRow,
          ({ published }) => published,
        );
        expect(done).toMatchObject({ status: 'EXECUTED', action_type: 'record', matched_rule_id: 'decisions.record' });
        const disposition = (await al.get('/v1/dispositions/now-1')).body as { dispositions: readonly object[] };
        expect(disposition.dispositions).toMatchObject([{ outcome: 'DECLINE', reason_codes: ['COUNTRY_BLOCKED'] }]);
        const again = (await df.post('/v1/decisions', asked)).body as DecisionAnswer;
        expect(again).toEqual({ ...first, admission: 'DUPLICATE' });
      });

      it('past its deadline it is the outcome of the policy, marked so, and the decision that comes later is linked to it', async () => {
        const asked = { transaction: transaction('now-2'), deadline_ms: 1 };
        const { body, status } = await df.post('/v1/decisions', asked);
        expect(status).toBe(200);
        expect(body).toMatchObject({ outcome: 'STEP_UP', timed_out: true });
        const { decision_id } = body as DecisionAnswer;
        const view = await eventually(
          async () => (await df.get(`/v1/decisions/${decision_id}`)).body as DecisionView,
          ({ timeouts }) => Array.isArray(timeouts),
          30_000,
        );
        expect(view.timeouts).toMatchObject([{ outcome: 'STEP_UP', deadline_ms: 1 }]);
        expect(view.decision.source_event.event_id).toBe((body as DecisionAnswer).event_id);
      });

      it('what cannot be admitted is refused with the code that says why, and nothing is decided', async () => {
        const unpayable = await df.post('/v1/decisions', { transaction: transaction('now-3', { amount: 'much' }) });
        expect(unpayable.body).toMatchObject({ code: 'EDGE_MAPPING_FAILED', status: 422 });
        const both = await df.post('/v1/decisions', { transaction: {}, envelope: {} });
        expect(both.body).toMatchObject({ code: 'DF_REQUEST_INVALID' });
        const broken = await df.post('/v1/decisions', { envelope: { event_id: 'x' } });
        expect(broken.body).toMatchObject({ code: 'DF_REQUEST_INVALID' });
      });
    });

    if (flavour === 'embedded')
      it('stand on policies whose coming into force is listed, with the rungs of the posture', async () => {
        const listed = async (...words: readonly string[]) => {
          const { code, stdout } = await cli(['changes', '--data', door.data, '--json', ...words]);
          expect(code).toBe(0);
          return JSON.parse(stdout) as {
            changes: readonly { kind: string; subject: string; before: unknown; after: string; actor: string }[];
          };
        };
        const { changes } = await listed();
        const [one] = (await decisionsOn(door, run)).values();
        const cited = one?.policy_rev;
        const after = `${cited?.revision} (${cited?.content_digest.slice(0, 12)}…)`;
        const rules = changes.filter(({ subject }) => subject === 'df.decision');
        expect(rules).toMatchObject([{ kind: 'POLICY_IN_FORCE', before: null, after, actor: 'SYSTEM::ops' }]);
        expect(changes.filter(({ kind }) => kind === 'POSTURE').map((change) => change.after)).toContain('NORMAL');
        expect((await listed('--to', '2020-01-01T00:00:00Z')).changes).toEqual([]);
        expect((await cli(['changes', '--data', door.data, '--from', 'yesterday'])).code).toBe(2);
      });

    if (flavour === 'embedded')
      it('are explained, verified and thought otherwise by commands whose exit codes say how it came out', async () => {
        const here = (...words: readonly string[]) => cli([...words, '--data', door.data]);
        const [one] = (await decisionsOn(door, run)).values();
        const id = one?.decision_id ?? '';
        const explained = await here('explain', id);
        expect([explained.code, explained.stdout]).toEqual([
          0,
          expect.stringContaining(`Decision ${id}: ${one?.outcome}`),
        ]);
        const unknown = await here('explain', 'f'.repeat(64));
        expect([unknown.code, unknown.stderr.includes('DF_DECISION_NOT_FOUND')]).toEqual([1, true]);

        const whole = await here('verify', '--run', run);
        expect([whole.code, whole.stdout]).toEqual([
          0,
          expect.stringMatching(/equal, byte for byte +1,?000\n[^]*Verified in/),
        ]);
        const single = await here('verify', 'decision', id);
        expect([single.code, single.stdout]).toEqual([0, expect.stringMatching(/equal, byte for byte +1\n/)]);
        const nothing = await here('verify', '--run', 'nobody');
        expect([nothing.code, nothing.stdout]).toEqual([1, expect.stringContaining('no decision to make again')]);
        const unknownAgain = await here('verify', 'decision', 'f'.repeat(64));
        expect([unknownAgain.code, unknownAgain.stderr.includes('DF_DECISION_NOT_FOUND')]).toEqual([1, true]);
        expect((await here('verify')).code).toBe(2);

        const shipped = join(process.cwd(), 'profiles/local/policy/df.rules.yaml');
        const alike = await here('counterfactual', '--run', run, '--rules', shipped);
        expect([alike.code, alike.stdout]).toEqual([
          0,
          expect.stringContaining('would have had the outcome that it has'),
        ]);
        const stricter = join(door.data, 'stricter.yaml');
        const rules = readFileSync(shipped, 'utf8').replace(/(id: block\.sanctioned_country[^]*?when: ).*/, '$1"true"');
        writeFileSync(stricter, rules);
        const other = await here('counterfactual', '--run', run, '--rules', stricter);
        expect(other.stdout).toMatch(
          /The first with another outcome: decision [0-9a-f]{64} of event .*, otherwise DECLINE\n/,
        );
        expect(other.stdout).toMatch(/of 1.?000 decisions would have had another outcome\./);
        expect(other.code).toBe(1);
        const none = await here('counterfactual', '--run', 'nobody', '--rules', shipped);
        expect([none.code, none.stdout]).toEqual([1, expect.stringContaining('Nothing was compared')]);
      }, 150_000);

    // Other profiles let a backfill wait for a second person.
    if (flavour === 'embedded') backfillCases(() => ({ door, run, rows: ROWS }));

    dryRunCases(() => ({ door, run, rows: ROWS }), flavour === 'embedded');

    // The command of the shipped profile; and last, for its twin leaves a record behind that belongs to nobody.
    if (flavour === 'embedded')
      it('are counted by the command up to outcome, leaf and label; what belongs to nobody is named', async () => {
        const words = ['reconcile', '--run', run, '--to', 'label', '--data', door.data, '--json'];
        const whole = await cli(words);
        expect([whole.stderr, whole.code]).toEqual(['', 0]);
        const { decision_path: path, labels } = JSON.parse(whole.stdout) as Counted;
        expect(path).toMatchObject({ decided: ROWS, decisions: ROWS });
        expect(path.logged?.leaves).toBe(ROWS * 2 + path.intents * 2);
        const { read, entered = 0, passedOver, inLedger } = labels.sealed ?? {};
        expect([labels.sealedRows, read, inLedger, passedOver]).toEqual([ROWS, ROWS, entered, ROWS - entered]);
        expect(entered).toBeGreaterThan(0);
        const inside = await openInside(door.data);
        try {
          const [one] = await recordsOf(inside.bus, asTopicName('fp.bus.traffic.v1'));
          const event = JSON.parse(Buffer.from(one?.record.value ?? []).toString('utf8')) as object;
          const forged = { ...event, event_id: 'forged', event_type: 'action_outcome', parent_event_id: 'nobody' };
          const value = Buffer.from(canonicalJson(forged));
          const producer = await inside.bus.openProducer({ name: 'forger' });
          const records = [{ key: null, headers: {}, value }];
          await producer.append([{ topic: asTopicName('fp.bus.traffic.v1'), partition: 0, records }]);
          await producer.close();
        } finally {
          await inside.close();
        }
        const { code, stdout } = await cli(words.slice(0, -1));
        expect(code).toBe(1);
        expect(stdout).toMatch(/outcomes_orphaned\s+forged/);
        expect(stdout).toMatch(/not_in_ledger\s+forged/);
      }, 120_000);
  });
}

/** Every decision of the run as it stands on the bus, by its id. */
async function decisionsOn(door: Door, run: string): Promise<ReadonlyMap<string, Decision>> {
  const inside = await openInside(door.embedded ? door.data : null);
  try {
    const records = await recordsOf(inside.bus, asTopicName('fp.bus.traffic.v1'));
    return new Map(
      records.flatMap(({ record }): [string, Decision][] => {
        const read = readEvent(record.value);
        if (!read.ok || read.event.eventType !== 'decision') return [];
        if ((read.event.pins as { readonly run_id?: string }).run_id !== run) return [];
        return [[read.event.eventId, read.event.payload as unknown as Decision]];
      }),
    );
  } finally {
    await inside.close();
  }
}

function leansOnAll({ posture, features, graph }: Decision): boolean {
  const asked = features.status === 'USED' && graph.status === 'USED';
  return posture.status === 'USED' && posture.mode === 'NORMAL' && asked;
}

function verdictOf({ outcome, reason_codes, model, rules, actions, entity_key, policy_rev }: Decision): object {
  return { outcome, reason_codes, model, rules, actions, entity_key, policy_rev };
}
