import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Case } from '../../src/modules/case-workbench/case.schema.js';
import { actionAnswered, caseOf } from '../../src/modules/case-workbench/case.core.js';
import { systemActor } from '../../src/rails/actor.js';
import { digestText } from '../../src/rails/digest.js';
import { type ActionIntent, ActionIntentSchema } from '../../src/rails/events/action-intent.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { validatorOf } from '../../src/rails/validator.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { ANN, CaseRig } from './case-workbench.rig.js';
import { pinsOf } from './label-store.kit.js';

/** What people have done about payments, through the gate. */
export function caseActionSuite(open: () => Database): void {
  describe('an action that a person asks for', () => {
    let rig: CaseRig;
    let run = 2_000;
    let found: Case;
    const event = (): string => `a-${rig.run}`;

    beforeEach(async () => {
      rig = new CaseRig(open(), (run += 1));
      await rig.unit.consumer.take(rig.batchOf(0, rig.decides(event())));
      const [row] = await rig.unit.store.list({ limit: 1, runId: rig.pins.run_id });
      if (row === undefined) throw new Error('no case');
      found = row.value;
    });

    const asks = async (action: string, key = 'k-1', unit = rig.unit) =>
      await unit.service.command(
        found.case_id,
        { command: { type: 'ASK_ACTION', action, reason: 'spoke to her' }, idempotency_key: key },
        ANN,
      );
    const now = async (): Promise<Case> => (await rig.unit.store.find(found.case_id)) ?? found;
    const intents = (): readonly {
      readonly event_id: string;
      readonly parent_event_id: string;
      readonly payload: ActionIntent;
    }[] => [...rig.gate.admitted.values()].map((text) => JSON.parse(text) as never);
    const outcomeOf = (intent: ActionIntent, status: string, pins = rig.pins): object => ({
      ...pins,
      event_id: digestText(`${intent.idempotency_key} ${status}`),
      event_type: 'action_outcome',
      schema_version: 'v1',
      producer: 'actions-layer',
      ts_utc: '2026-01-01T00:00:00.000000Z',
      payload: {
        outcome_id: digestText(`${intent.idempotency_key} ${status}`),
        idempotency_key: intent.idempotency_key,
        intent_event_id: intent.idempotency_key,
        decision_id: intent.decision_id,
        entity_key: intent.entity_key,
        action_domain: intent.action_domain,
        action_type: intent.action_type,
        status,
        reason_codes: status === 'EXECUTED' ? [] : ['DEFAULT_DENY'],
        attempt_no: 1,
        retryable: false,
        origin: intent.origin,
        actor: intent.actor,
        policy_rev: sealPolicy('al.actions', 1, {}).policy_rev,
        completed_at_utc: '2026-01-01T00:00:01.000000Z',
      },
    });

    it('becomes one intent in the person’s name, and is done only by what the actions layer says', async () => {
      expect(await asks('NOTIFY')).toMatchObject({ outcome: 'NEW', case: { actions: [{ state: 'SUBMITTED' }] } });
      expect(await rig.unit.actions.submit()).toBe(1);
      expect(await now()).toMatchObject({ actions: [{ action: 'NOTIFY', state: 'ADMITTED' }], status: 'IN_PROGRESS' });
      const [intent] = intents();
      if (intent === undefined) throw new Error('no intent');
      expect(validatorOf(ActionIntentSchema, 'the intent').check(intent.payload)).toMatchObject({ ok: true });
      expect(intent).toMatchObject({
        ...rig.pins,
        producer: 'case-workbench',
        parent_event_id: intent.payload.decision_id,
        payload: {
          origin: 'CASE',
          actor: ANN,
          action_type: 'notify',
          outcome: 'QUEUE',
          target: { type: 'transaction', id: `own-${event()}` },
        },
      });
      const told = rig.batchOf(1, outcomeOf(intent.payload, 'EXECUTED'));
      for (let n = 0; n < 3; n += 1) await rig.unit.consumer.take(told);
      expect(await now()).toMatchObject({ actions: [{ state: 'EXECUTED' }] });
      expect(await rig.typesOf(found)).toEqual([
        'CASE_TRIGGERED',
        'ACTION_SUBMITTED',
        'ACTION_ADMITTED',
        'ACTION_OUTCOME',
      ]);
      const { case_id, pins, subject_event_id } = found;
      expect(caseOf({ case_id, pins, subject_event_id }, await rig.unit.store.timeline(case_id))).toEqual(await now());
    });

    it('waits while the gate is away or puts it off, and is one intent when it is back, whoever sends it', async () => {
      await Promise.all([asks('RELEASE'), asks('RELEASE'), asks('RELEASE', 'k-1', rig.life())]);
      rig.gate.mode = 'away';
      await expect(rig.unit.actions.submit()).rejects.toMatchObject({ code: 'RPC_UNAVAILABLE' });
      rig.gate.mode = 'for now';
      expect(await rig.unit.actions.submit()).toBe(0);
      expect(await now()).toMatchObject({ actions: [{ action: 'RELEASE', state: 'SUBMITTED' }] });
      rig.gate.mode = 'well';
      await Promise.all([rig.unit.actions.submit(), rig.life().actions.submit()]);
      expect(rig.gate.admitted.size).toBe(1);
      expect(intents()).toMatchObject([
        { payload: { outcome: 'APPROVE', reason_codes: ['CASE_REVIEW'], action_type: 'record' } },
      ]);
      expect(await rig.typesOf(found)).toEqual(['CASE_TRIGGERED', 'ACTION_SUBMITTED', 'ACTION_ADMITTED']);
      expect(await rig.unit.actions.submit()).toBe(0);
      // The same again under another key is another wish.
      await asks('RELEASE', 'k-2');
      await rig.unit.actions.submit();
      expect(rig.gate.admitted.size).toBe(2);
    });

    it('keeps its end where the outcome comes before the gate’s answer is written down', async () => {
      await asks('BLOCK');
      const [{ intent_id } = { intent_id: '' }] = (await now()).actions;
      const intent = {
        idempotency_key: intent_id,
        decision_id: digestText('d'),
        entity_key: 'c',
        origin: 'CASE',
        actor: ANN,
      };
      const asked = { ...intent, action_domain: 'txn_disposition', action_type: 'record' };
      await rig.unit.consumer.take(rig.batchOf(1, outcomeOf(asked as never, 'DENIED')));
      expect(await now()).toMatchObject({ actions: [{ state: 'DENIED', code: 'DEFAULT_DENY' }] });
      const late = actionAnswered(
        found.case_id,
        intent_id as never,
        { receipt_id: digestText('r') },
        systemActor('ig'),
      );
      const wish = { subject: found, identity: late, entries: () => [late] };
      await rig.database.transaction(async (transaction) => {
        await rig.unit.store.append(transaction, [wish], (await now()).changed_at_utc);
      });
      expect(await rig.typesOf(found)).toContain('ACTION_ADMITTED');
      expect(await now()).toMatchObject({ actions: [{ state: 'DENIED', code: 'DEFAULT_DENY' }] });
    });

    it('comes back as a trigger where it failed, so that a closed case is taken up again', async () => {
      await asks('NOTIFY');
      await rig.unit.actions.submit();
      await rig.does(found, { type: 'CLOSE', reason: 'all said' }, 'c');
      const [intent] = intents();
      if (intent === undefined) throw new Error('no intent');
      rig.known.set(intent.payload.decision_id, event());
      await rig.unit.consumer.take(rig.batchOf(1, outcomeOf(intent.payload, 'FAILED')));
      expect(await now()).toMatchObject({ status: 'IN_PROGRESS', triggers: 2, actions: [{ state: 'FAILED' }] });
    });

    it('is refused by name: a name that the policy lacks, an event that nobody decided, what the gate quarantines', async () => {
      await expect(asks('BURN')).rejects.toMatchObject({ code: 'CASE_ACTION_UNKNOWN' });
      const undecided = await rig.opened('open', `u-${rig.run}`);
      await rig.does(undecided, { type: 'ASK_ACTION', action: 'NOTIFY', reason: 'x' }, 'u');
      rig.gate.mode = 'refusing';
      await asks('NOTIFY');
      expect(await rig.unit.actions.submit()).toBe(2);
      expect((await rig.unit.store.find(undecided.case_id))?.actions).toMatchObject([
        { state: 'REFUSED', code: 'CASE_NOT_DECIDED' },
      ]);
      expect((await now()).actions).toMatchObject([{ state: 'REFUSED', code: 'IG_SCHEMA_FAIL' }]);
      expect(rig.gate.admitted.size).toBe(0);
    });

    it('takes no outcome of another world or of nobody’s intent, and passes both by', async () => {
      await asks('NOTIFY');
      await rig.unit.actions.submit();
      const [intent] = intents();
      if (intent === undefined) throw new Error('no intent');
      const nobody = { ...intent.payload, idempotency_key: digestText('nobody') as never };
      await rig.unit.consumer.take(
        rig.batchOf(1, outcomeOf(intent.payload, 'EXECUTED', pinsOf(rig.run + 500)), outcomeOf(nobody, 'EXECUTED')),
      );
      expect(await now()).toMatchObject({ actions: [{ state: 'ADMITTED' }] });
      expect(await rig.unit.metricsText()).toMatch(/^cases_invalid_total\S* 2$/m);
      await expect(
        rig.unit.service.command(
          found.case_id,
          { command: { type: 'ASK_ACTION', action: 'NOTIFY', reason: 'x' }, idempotency_key: 'm' },
          systemActor('df'),
        ),
      ).rejects.toMatchObject({ code: 'CASE_PERSON_NEEDED' });
    });
  });
}
