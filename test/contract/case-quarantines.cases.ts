import { beforeEach, describe, expect, it } from '@jest/globals';
import { CASES_POLICY } from '../../src/modules/case-workbench/case-workbench.policy.js';
import type { Quarantined } from '../../src/modules/decision-log-audit/decision-log-audit.port.js';
import { digestText } from '../../src/rails/digest.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { ANN, CaseRig, policies } from './case-workbench.rig.js';

type Leaf = Quarantined['records'][number];

/** What the audit log quarantines, as cases. */
export function caseQuarantineSuite(open: () => Database): void {
  let run = 7_000;
  let rig: CaseRig;
  let start: number;

  /** One log for all tests, as there is one database: it never goes back. */
  let size = 0;
  beforeEach(() => {
    run += 1;
    rig = new CaseRig(open(), run);
    start = size;
  });

  function quarantined(event: string, change: Partial<Leaf> = {}): Leaf {
    const leaf: Leaf = {
      ...{ leaf: size, audit_record_id: digestText(`${run} ${event}`), reason_codes: ['INCOMPLETE_PROVENANCE'] },
      ...{
        pins: rig.pins,
        event_id: event as never,
        event_type: 'decision',
        parent_event_id: `paid-${event}` as never,
      },
      ...change,
    };
    rig.log.quarantinedLeaves.push(leaf);
    size += 1;
    rig.log.size = size;
    return leaf;
  }
  async function looked(unit = rig.unit): Promise<void> {
    while ((await unit.quarantines.look()) > 0);
  }
  const cases = async () =>
    (await rig.unit.store.list({ limit: 200, runId: rig.pins.run_id })).map(({ value }) => value).reverse();

  describe('records that the audit log has quarantined', () => {
    it('open one case each, with the record of the log as evidence, however often and by whom it is looked', async () => {
      const { audit_record_id: id } = quarantined('d-1');
      for (let n = 0; n < 2; n += 1) await looked();
      await looked(rig.life());
      const [found, ...others] = await cases();
      expect(others).toEqual([]);
      expect(found).toMatchObject({
        ...{ subject_event_id: 'paid-d-1', queue: 'operations', priority: 'HIGH', triggers: 1, status: 'NEW' },
        evidence: [
          { kind: 'DLA_AUDIT_RECORD', id },
          { kind: 'EVENT', id: 'd-1' },
          { kind: 'EVENT', id: 'paid-d-1' },
        ],
      });
      expect((await rig.unit.store.timeline(found?.case_id ?? ''))[0]).toMatchObject({
        ...{ type: 'CASE_TRIGGERED', trigger: 'ANOMALY', actor: { actor_id: 'SYSTEM::cases' } },
        reason: 'the audit log quarantined decision: INCOMPLETE_PROVENANCE',
      });
    });

    it('meet the case that the payment has, and take it up again where it was closed', async () => {
      const found = await rig.opened('open', 'paid-d-1');
      await rig.does(found, { type: 'CLOSE', reason: 'fine' }, 'close', undefined, ANN);
      quarantined('d-1');
      await looked();
      expect(await cases()).toMatchObject([{ case_id: found.case_id, triggers: 2, status: 'IN_PROGRESS' }]);
    });

    it('are about the payment of their decision where they are intents, and about themselves where nobody knows more', async () => {
      rig.known.set('d-1', 'paid-1');
      quarantined('i-1', { event_type: 'action_intent', parent_event_id: 'd-1' as never });
      quarantined('i-2', { event_type: 'action_intent', parent_event_id: 'd-gone' as never });
      quarantined('t-1', { event_type: 'transaction', parent_event_id: null });
      await looked();
      expect((await cases()).map(({ subject_event_id }) => subject_event_id)).toEqual(['paid-1', 'i-2', 't-1']);
    });

    it('open none where the policy does not list their reason, and none where they name no run or no event; those are counted', async () => {
      quarantined('d-1', { reason_codes: ['SOMETHING_ELSE'] });
      quarantined('d-2', { event_id: null });
      quarantined('d-3', { pins: null });
      await looked();
      expect(await cases()).toEqual([]);
      expect(await rig.unit.metricsText()).toMatch(/^cases_quarantines_total\{.*outcome="NO_EVENT".*\} 2$/m);
    });

    it('open none under a revision that does not know them', async () => {
      const { body } = policies.inForce(CASES_POLICY);
      const { ANOMALY: _, ...triggers } = body.triggers;
      const older = sealPolicy(CASES_POLICY.policy_id, 1, { ...body, triggers } as never);
      quarantined('d-1');
      await looked(rig.life(undefined, older));
      expect(await cases()).toEqual([]);
    });

    it('are passed by by nobody while the log is away, and are all there page by page', async () => {
      for (let n = 0; n < 130; n += 1) quarantined(`d-${n}`);
      rig.log.away = true;
      await expect(rig.unit.quarantines.look()).rejects.toMatchObject({ code: 'RPC_UNAVAILABLE' });
      rig.log.away = false;
      expect(await rig.unit.quarantines.look()).toBe(100);
      // Two processes look at the same page: one of them is first.
      await Promise.all([rig.unit.quarantines.look(), rig.life().quarantines.look()]);
      expect(await cases()).toHaveLength(130);
      expect((await cases()).map(({ triggers }) => triggers)).toEqual(Array.from({ length: 130 }, () => 1));
      expect(size - start).toBe(130);
    });
  });
}
