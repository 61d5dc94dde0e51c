import { beforeEach, describe, expect, it } from '@jest/globals';
import { caseOf, subjectOf } from '../../src/modules/case-workbench/case.core.js';
import type { Case } from '../../src/modules/case-workbench/case.schema.js';
import { systemActor } from '../../src/rails/actor.js';
import { digestText } from '../../src/rails/digest.js';
import type { ProbityError } from '../../src/rails/errors/probity-error.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { ANN, BOB, CaseRig, FRAUD, type Labels } from './case-workbench.rig.js';
import { pinsOf } from './label-store.kit.js';

/** Cases over a database. */
export function caseWorkbenchSuite(open: () => Database): void {
  let rig: CaseRig;
  let run = 0;
  let labels: Labels;
  let known: Map<string, string>;
  let unit: CaseRig['unit'];

  beforeEach(() => {
    run += 1;
    rig = new CaseRig(open(), run);
    ({ labels, known, unit } = rig);
  });

  const life = (): CaseRig['unit'] => rig.life();
  const opened: CaseRig['opened'] = async (...asked) => await rig.opened(...asked);
  const does: CaseRig['does'] = async (...asked) => await rig.does(...asked);
  const typesOf: CaseRig['typesOf'] = async (found) => await rig.typesOf(found);
  const decided: CaseRig['decided'] = (...asked) => rig.decided(...asked);
  const batchOf: CaseRig['batchOf'] = (...asked) => rig.batchOf(...asked);

  it('opens one case for a payment, however often the decision is delivered, and none for what nobody has to see', async () => {
    const batch = batchOf(0, decided('QUEUE', 'q-1'), decided('APPROVE', 'q-2'), decided('QUEUE', 'q-3'));
    for (let n = 0; n < 3; n += 1) await unit.consumer.take(batch);
    await life().consumer.take(batch);
    const cases = await unit.store.list({ limit: 10, runId: pinsOf(run).run_id });
    expect(cases.map(({ value }) => value.subject_event_id).sort()).toEqual(['q-1', 'q-3']);
    for (const { value } of cases) {
      expect(value).toMatchObject({ status: 'NEW', queue: 'review', triggers: 1, case_seq: 1 });
      expect(value.evidence.map(({ kind }) => kind)).toEqual(['DECISION', 'EVENT']);
    }
    expect(await unit.store.positions([{ topic: batch.topic, partition: run }])).toMatchObject([{ offset: 3 }]);
  });

  it('adds an action that failed to the case of its payment, and opens one where there is none', async () => {
    const outcomeOf = (decision: string, status: string): object => ({
      ...pinsOf(run),
      event_id: digestText(`${decision} ${status}`),
      event_type: 'action_outcome',
      schema_version: 'v1',
      producer: 'actions-layer',
      ts_utc: '2026-01-01T00:00:00.000000Z',
      payload: {
        outcome_id: digestText(`${decision} ${status}`),
        idempotency_key: digestText('k'),
        intent_event_id: digestText('k'),
        decision_id: digestText(decision),
        entity_key: 'card-1',
        action_domain: 'shop_notice',
        action_type: 'webhook.shop',
        status,
        reason_codes: ['TARGET_REFUSED'],
        attempt_no: 1,
        retryable: false,
        origin: 'DF',
        actor: systemActor('df'),
        policy_rev: sealPolicy('al.actions', 1, {}).policy_rev,
        completed_at_utc: '2026-01-01T00:00:01.000000Z',
      },
    });
    known.set(digestText('q-1 QUEUE'), 'q-1').set(digestText('a-1'), 'a-1');
    const batch = batchOf(
      0,
      decided('QUEUE', 'q-1'),
      outcomeOf('q-1 QUEUE', 'FAILED'),
      outcomeOf('q-1 QUEUE', 'EXECUTED'),
      outcomeOf('a-1', 'FAILED'),
      outcomeOf('a-1', 'DENIED'),
      outcomeOf('never admitted', 'FAILED'),
    );
    await unit.consumer.take(batch);
    await unit.consumer.take(batch);
    const cases = (await unit.store.list({ limit: 10, runId: pinsOf(run).run_id })).map(({ value }) => value);
    expect(cases.map(({ subject_event_id, queue, triggers }) => [subject_event_id, queue, triggers]).sort()).toEqual([
      ['a-1', 'operations', 1],
      ['q-1', 'review', 2],
    ]);
    expect(await unit.metricsText()).toMatch(/^cases_invalid_total\S* 2$/m);
  });

  it('passes by what nobody can read, counts it, and opens what stands beside it', async () => {
    await unit.consumer.take(
      batchOf(
        0,
        '{"event_id":"x","event_type":"decision"',
        decided('QUEUE', 'p-1', { outcome: 'MAYBE' }),
        decided('QUEUE', 'p-2'),
      ),
    );
    expect(await unit.store.list({ limit: 10, runId: pinsOf(run).run_id })).toHaveLength(1);
    expect(await unit.metricsText()).toMatch(/^cases_invalid_total\S* 2$/m);
  });

  it('adds a person’s word to the case that a decision opened', async () => {
    await unit.consumer.take(batchOf(0, decided('QUEUE', `e-${run}`)));
    const found = await opened();
    expect(found).toMatchObject({ triggers: 2, case_seq: 2, case_id: subjectOf(pinsOf(run), `e-${run}`).case_id });
    await expect(opened('other', 'unknown')).rejects.toMatchObject({ code: 'CASE_EVENT_UNKNOWN' });
    await expect(opened('third', 'e-9', systemActor('df'))).rejects.toMatchObject({ code: 'CASE_PERSON_NEEDED' });
  });

  it('does a command once by its key, also after the case has gone on, and tells of another under the same key', async () => {
    const found = await opened();
    const first = await does(found, { type: 'NOTE', text: 'called the customer' }, 'k-1', 1);
    expect(first).toMatchObject({ outcome: 'NEW', case: { case_seq: 2, status: 'IN_PROGRESS' } });
    await does(found, { type: 'CLOSE', reason: 'fine' }, 'k-2');
    const again = await does(found, { type: 'NOTE', text: 'called the customer' }, 'k-1', 1);
    expect(again).toMatchObject({ outcome: 'DUPLICATE', case: { status: 'CLOSED' } });
    await expect(does(found, { type: 'NOTE', text: 'something else' }, 'k-1')).rejects.toMatchObject({
      code: 'CASE_IDEMPOTENCY_CONFLICT',
    });
    expect(await typesOf(found)).toEqual(['CASE_TRIGGERED', 'NOTE_ADDED', 'CASE_CLOSED']);
  });

  it('lets one of many win who act on the same sight of a case, and tells the others', async () => {
    const found = await opened();
    const people = Array.from({ length: 6 }, (_, n) => ({ ...ANN, actor_id: `HUMAN::p${n}` as never }));
    const units = people.map(() => life());
    const done = await Promise.allSettled(
      people.map(
        async (person, n) =>
          await units[n]?.service.command(
            found.case_id,
            { command: { type: 'ASSIGN', to: person.actor_id } as never, idempotency_key: `k-${n}`, expected_seq: 1 },
            person,
          ),
      ),
    );
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const reasons = done.flatMap((each) => (each.status === 'rejected' ? [(each.reason as ProbityError).code] : []));
    expect(new Set(reasons)).toEqual(new Set(['CASE_GONE_ON']));
    expect(await typesOf(found)).toEqual(['CASE_TRIGGERED', 'ASSIGNED']);
  });

  it('does a double click once', async () => {
    const found = await opened();
    const clicks = await Promise.all(Array.from({ length: 5 }, async () => await does(found, FRAUD, 'click')));
    expect(clicks.filter(({ outcome }) => outcome === 'NEW')).toHaveLength(1);
    expect(await typesOf(found)).toEqual(['CASE_TRIGGERED', 'DISPOSITION_SET', 'LABEL_SUBMITTED']);
    await Promise.all([unit.job.submit(), life().job.submit()]);
    expect(labels.taken.size).toBe(1);
    expect(await typesOf(found)).toEqual(['CASE_TRIGGERED', 'DISPOSITION_SET', 'LABEL_SUBMITTED', 'LABEL_ACCEPTED']);
  });

  it('claims no label while the store is away or says later, and has exactly one when it is back', async () => {
    const found = await opened();
    await does(found, FRAUD, 'k-1');
    labels.mode = 'away';
    await expect(unit.job.submit()).rejects.toMatchObject({ code: 'RPC_UNAVAILABLE' });
    labels.mode = 'for now';
    expect(await unit.job.submit()).toBe(0);
    expect(await unit.store.find(found.case_id)).toMatchObject({
      status: 'DISPOSITION_SET',
      label: { state: 'PENDING' },
    });
    labels.mode = 'well';
    expect(await unit.job.submit()).toBe(1);
    expect(await unit.job.submit()).toBe(0);
    expect(await unit.store.find(found.case_id)).toMatchObject({ status: 'RESOLVED', label: { state: 'ACCEPTED' } });
    expect(labels.asked.at(-1)).toMatchObject({
      target: { kind: 'EVENT', event_id: `e-${run}` },
      label_type: 'fraud_disposition',
      label_value: 'FRAUD_CONFIRMED',
      namespace: 'cases',
      on_behalf_of: ANN,
      pins: pinsOf(run),
    });
  });

  it('names the label that a second finding takes the place of, and shows one that was refused', async () => {
    const found = await opened();
    await does(found, FRAUD, 'k-1');
    await unit.job.submit();
    const [first] = labels.taken.values();
    await does(
      found,
      { type: 'SET_DISPOSITION', disposition: 'LEGITIMATE', reason: 'card was lent' },
      'k-2',
      undefined,
      BOB,
    );
    labels.mode = 'refusing';
    await unit.job.submit();
    expect(labels.asked.at(-1)).toMatchObject({ supersedes: first, label_value: 'LEGIT_CONFIRMED', on_behalf_of: BOB });
    expect(await unit.store.find(found.case_id)).toMatchObject({
      status: 'DISPOSITION_SET',
      label: { state: 'REJECTED', code: 'LBL_UNAUTHORIZED_WRITER', label_id: first },
    });
  });

  it('is what its timeline makes of it, and the timeline cannot be edited by the role that writes it', async () => {
    const found = await opened();
    await does(found, { type: 'ASSIGN', to: 'HUMAN::ann' }, 'k-1');
    await does(found, { type: 'ESCALATE', queue: 'fraud', reason: 'a ring' }, 'k-2');
    await does(found, FRAUD, 'k-3');
    await unit.job.submit();
    const { case_id, pins, subject_event_id } = found;
    const live = await unit.store.find(case_id);
    expect(caseOf({ case_id, pins, subject_event_id }, await unit.store.timeline(case_id))).toEqual(live);
    expect(live).toMatchObject({ queue: 'fraud', assignee: null, status: 'RESOLVED' });
    for (const statement of [`update timeline set type = 'NOTE_ADDED'`, 'delete from timeline', 'truncate timeline'])
      await expect(open().query(statement)).rejects.toMatchObject({
        code: expect.stringMatching(/^DATABASE_/) as unknown,
      });
  });

  describe('lists', () => {
    it('by status, queue and person, page by page, with counts and a stream of changes', async () => {
      const all: Case[] = [];
      for (const n of [1, 2, 3]) all.push(await opened(`open-${n}`, `e-${run}-${n}`));
      const [one, two] = all;
      if (one === undefined || two === undefined) throw new Error('three cases');
      const before = await unit.store.changes(0, 10_000);
      await does(one, { type: 'ASSIGN', to: 'HUMAN::ann' }, 'a');
      await does(two, { type: 'ESCALATE', queue: 'fraud', reason: 'x' }, 'b');
      const runId = pinsOf(run).run_id;
      const ids = async (query: object) =>
        (await unit.store.list({ limit: 10, runId, ...query })).map(({ value }) => value.subject_event_id);
      expect(await ids({})).toEqual([3, 2, 1].map((n) => `e-${run}-${n}`));
      expect(await ids({ assignee: 'HUMAN::ann' })).toEqual([`e-${run}-1`]);
      expect(await ids({ assignee: null, queue: 'review' })).toEqual([`e-${run}-3`]);
      expect(await ids({ queue: 'fraud' })).toEqual([`e-${run}-2`]);
      expect(await ids({ status: 'IN_PROGRESS' })).toEqual([`e-${run}-1`]);
      const [first] = await unit.store.list({ limit: 1, runId });
      expect(await ids({ before: first?.number })).toEqual([2, 1].map((n) => `e-${run}-${n}`));
      const changes = await unit.store.changes(before.at(-1)?.number ?? 0, 10);
      expect(changes.map(({ case_id, event }) => [case_id, event.type])).toEqual([
        [one.case_id, 'ASSIGNED'],
        [two.case_id, 'ESCALATED'],
      ]);
      const counts = await unit.store.counts();
      expect(counts.reduce((sum, { cases }) => sum + cases, 0)).toBeGreaterThanOrEqual(3);
    });
  });
}
